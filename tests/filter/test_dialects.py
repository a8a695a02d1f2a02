"""Each dialect on worked examples, and against the packages themselves where an interpreter that has them is named.

`CORPUSMILL_DATATROVE_PYTHON` and `CORPUSMILL_DOLMA_PYTHON` name interpreters of environments with `datatrove` and with
`dolma`; both pin what this project does not. Without them those two tests are skipped.
"""

import json
import math
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.filter import SETS, english_texts, ours, peers
from pipeline.filter.config import FilterConfig
from pipeline.filter.stage import FilterDocuments
from pipeline.records import Document

DOLMA = """
import json, sys
from dolma.taggers.gopher import get_attributes
for line in sys.stdin.buffer.read().split(b"\\n"):
    if line:
        a = get_attributes(json.loads(line), ignore_empty_lines=True)
        print(json.dumps({
            "num_words": a.word_count, "word_length": a.median_word_length, "hash_word_ratio": a.symbol_to_word_ratio,
            "bullet_line_share": a.fraction_of_lines_starting_with_bullet_point,
            "ellipsis_line_share": a.fraction_of_lines_ending_with_ellipsis,
            "alpha_word_share": a.fraction_of_words_with_alpha_character, "num_stop_words": a.required_word_count,
            "dup_line_share": a.fraction_of_duplicate_lines,
            "dup_line_char_share": a.fraction_of_characters_in_duplicate_lines,
            **{f"top_{n}_gram_share": v for n, v in a.fraction_of_characters_in_most_common_ngram},
            **{f"dup_{n}_gram_share": v for n, v in a.fraction_of_characters_in_duplicate_ngrams},
        }))
"""


def values(text: str, dialect: str) -> Mapping[str, float]:
    judge = FilterDocuments(FilterConfig(dialect=dialect))  # type: ignore[arg-type]
    return judge._measure(Document(id="0", url="", text=text, language="en")).values


@pytest.mark.parametrize(
    ("dialect", "text", "expected"),
    [
        # One word in four is longer; the whole text is its own commonest 4-gram: once is enough for dolma.
        ("dolma", "This is a test.", {"word_length": 3.0, "top_2_gram_share": 0.5, "top_3_gram_share": 7 / 12, "top_4_gram_share": 1.0}),
        ("dclm", "This is a test.", {"top_2_gram_share": 0.0, "top_3_gram_share": 0.0, "top_4_gram_share": 0.0}),
        ("datatrove", "This is a test", {"top_2_gram_share": 0.5, "top_4_gram_share": 1.0}),
        # Two equal lines of three.
        ("datatrove", "A\nA\nB", {"dup_line_share": 1 / 3}),
        ("dolma", "A\nA\nB", {"dup_line_share": 2 / 3}),
        ("dclm", "A\nA\nB", {"dup_line_share": 2 / 3}),
        # 26 of 31 characters of lines; dolma divides by the characters of words, so a share may pass 1.
        ("dclm", "Hello, World.\nHello, World.\n\nHello", {"dup_line_char_share": 26 / 31, "dup_paragraph_share": 0.0}),
        ("dolma", "Hello, World.\nHello, World.\n\nHello", {"dup_line_char_share": 26 / 29}),
        # Stop words: occurrences or kinds, and their case.
        ("datatrove", "The best of the best", {"num_stop_words": 2.0}),
        ("dolma", "The best of the best", {"num_stop_words": 2.0}),
        ("dclm", "The best of the best", {"num_stop_words": 3.0}),
        ("dolma", "the the", {"num_stop_words": 2.0}),
        ("datatrove", "the the", {"num_stop_words": 1.0}),
        # Symbols: apart or together, signs or words.
        ("datatrove", "## a b …", {"hash_word_ratio": 2 / 5, "ellipsis_word_ratio": 1 / 5}),
        ("dolma", "## a b …", {"hash_word_ratio": 2 / 4, "ellipsis_word_ratio": 2 / 4}),
        ("dclm", "## a b …", {"hash_word_ratio": 3 / 4}),
        ("dclm", "one two. . .", {"ellipsis_line_share": 1.0}),
        ("dolma", "one two...", {"ellipsis_line_share": 0.0}),
        # Bullets: which signs, and whether indented lines count.
        ("datatrove", "  - a\n• b", {"bullet_line_share": 1.0}),
        ("dolma", "  - a\n* b", {"bullet_line_share": 0.5}),
        ("dclm", "  ● a\n\n* b", {"bullet_line_share": 1.0}),
        # Words begin with a letter or digit; those of n-grams end at Unicode's word boundaries.
        ("dclm", "well-known 'tis — 3.5", {"num_words": 2.0}),
        ("dclm", "a-b, a-b, a-b!", {"top_2_gram_share": 6 / 6}),
        # All repeated 5-grams among all 5-grams, or the words that they cover.
        ("dolma", "a b c d e a b c d e f", {"dup_5_gram_share": 10 / 35}),
        ("dclm", "a b c d e a b c d e f", {"dup_5_gram_share": 10 / 11}),
    ],
)  # fmt: skip
def test_worked_examples(dialect: str, text: str, expected: Mapping[str, float]) -> None:
    measured = values(text, dialect)
    assert {name: measured[name] for name in expected} == pytest.approx(expected)


def interpreter(variable: str) -> str:
    path = os.environ.get(variable, "")
    if not path:
        pytest.skip(f"{variable} names no interpreter with the package to compare with")
    return path


@pytest.mark.slow
def test_decisions_equal_those_of_datatrove(shared_data: Path) -> None:
    """By rule set and of the chain with its edited texts; English has no foreseen difference but two named ones."""
    texts = english_texts(shared_data, 250)
    _, mine = ours(texts)
    theirs = peers(texts, interpreter("CORPUSMILL_DATATROVE_PYTHON"))["answers"]
    for name in (*SETS, "chain"):
        differing = [
            number
            for number, (a, b) in enumerate(zip(mine, theirs, strict=True))
            if (a[name] is None) != (b[name] is None)
        ]
        assert [texts[number][:80] for number in differing] == [], name
    edited = [(a["text"], b["text"]) for a, b in zip(mine, theirs, strict=True) if a["text"] and b["text"]]
    assert all(own == other for own, other in edited)


def test_measures_equal_those_of_dolma(shared_data: Path) -> None:
    texts = [text for text in english_texts(shared_data, 250) if len(text) < 20_000]
    lines = "\n".join(json.dumps(text) for text in texts).encode()
    done = subprocess.run(
        [interpreter("CORPUSMILL_DOLMA_PYTHON"), "-c", DOLMA], input=lines, capture_output=True, check=True
    )
    for text, line in zip(texts, done.stdout.split(b"\n"), strict=False):
        measured = values(text, "dolma")
        expected = json.loads(line)
        assert {name: measured[name] for name in expected} == pytest.approx(expected), text[:80]
        assert math.isnan(measured["dup_paragraph_share"])
