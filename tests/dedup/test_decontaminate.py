"""Evaluation items in documents: what is found, what is not, and what the report says."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.decontaminate import decontaminate_run
from jobs.engine import Engine
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.decontaminate import Decontaminate, EvaluationIndex, strings
from pipeline.dedup.decontaminate_config import DecontaminateConfig
from pipeline.errors import InputError, SettingError
from pipeline.jsonl import read_records
from pipeline.manifests import Manifest
from pipeline.records import Document, Rejection, page_id
from pipeline.tables import read_rows

QUESTION = "Which of the many rivers of the northern plain carries more water in winter than it does in summer?"
SHORT = "What do the herons of Lake Ister eat?"  # eight words
TINY = "Why not?"


def items(folder: Path, *records: dict[str, Any]) -> str:
    path = folder / "exam.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def judge(path: str, **settings: Any) -> Decontaminate:
    found = Decontaminate(DecontaminateConfig(sets=(path,), **settings))
    found.setup()
    return found


def verdict(found: Decontaminate, text: str) -> Document | Rejection:
    return found.judge(Document(id="0" * 32, url="http://x/", text=text))


@pytest.mark.parametrize(
    ("text", "contaminated"),
    [
        (QUESTION, True),
        (f"Before. {QUESTION.upper()} After.", True),  # case does not count
        (QUESTION.replace(" ", "  \n").replace("?", "…"), True),  # nor does white space or punctuation
        (" ".join(QUESTION.split()[:16]), True),  # 4 of 7 n-grams
        (" ".join(QUESTION.split()[:15]), False),  # 3 of 7
        (" ".join(reversed(QUESTION.split())), False),
        (f"It asked: {SHORT}", True),  # a short question counts as a whole
        ("what do the herons of lake ister", False),
        (TINY, False),
        ("", False),
    ],
)
def test_what_is_contaminated(tmp_path: Path, text: str, contaminated: bool) -> None:
    found = judge(
        items(tmp_path, {"q": QUESTION}, {"q": SHORT, "choices": ["fish", "frogs and other things"]}, {"q": TINY})
    )
    assert isinstance(verdict(found, text), Rejection) is contaminated
    assert found.index.num_unsearchable == 1


def test_the_rejection_says_what_was_found(tmp_path: Path) -> None:
    found = judge(items(tmp_path, {"q": SHORT}, {"q": QUESTION}))
    rejection = verdict(found, f"Some words before. {QUESTION}")
    assert isinstance(rejection, Rejection)
    assert (rejection.stage, rejection.reason, rejection.value, rejection.threshold) == (
        "dedup",
        "contaminated",
        1.0,
        0.5,
    )
    assert rejection.detail == f"exam item 2, 7 of 7 n-grams: {QUESTION}"
    _, matches = found.judge_text("x", "y", f"Some words before. {QUESTION}")
    assert [(match.item, match.start) for match in matches] == [(2, 19)]


def test_templates_do_not_count(tmp_path: Path) -> None:
    template = "Choose the one answer that fits best into the gap of the following sentence about "
    path = items(
        tmp_path, *({"q": template + f"thing{number} {number} of the kind {number * 7}"} for number in range(30))
    )
    assert isinstance(verdict(judge(path), template + "something that is no item"), Document)
    assert isinstance(verdict(judge(path), template + "thing3 3 of the kind 21"), Rejection)
    assert isinstance(verdict(judge(path, max_items=30, threshold=0.1), template + "nothing"), Rejection)


def test_flagged_documents_stay(tmp_path: Path) -> None:
    found = judge(items(tmp_path, {"q": QUESTION}), action="flag")
    assert isinstance(verdict(found, QUESTION), Document)
    refused, matches = found.judge_text("a", "b", QUESTION)
    assert refused is None
    assert [row["contaminated"] for row in found.report_rows("a", "b", matches)] == [True]


ANSWER = (
    "In winter the snow of the hills melts a little each day and runs down, while in summer the fields drink most "
    "of what the river brings, so that the Ister alone, which no field is near, swells as soon as frost sets in."
)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (QUESTION, "question"),
        (ANSWER, "answer"),
        (f"{QUESTION} {ANSWER}", ""),  # the whole item
        (f"{QUESTION} {' '.join(ANSWER.split()[:20])}", "question"),
    ],
)
def test_a_field_counts_by_itself(tmp_path: Path, text: str, field: str) -> None:
    """The whole question is on the page, but less than half of the n-grams of question and answer together."""
    path = items(tmp_path, {"question": QUESTION, "answer": ANSWER})
    refused = verdict(judge(path), f"Some words before. {text}")
    assert isinstance(refused, Rejection)
    assert refused.value == 1
    assert (f"n-grams of its {field}:" in refused.detail) == bool(field)
    (match,) = judge(path).index.matches(text)
    assert match.field == field


def test_a_short_field_counts_with_the_others_only(tmp_path: Path) -> None:
    """An answer of thirteen words is one n-gram, and may stand anywhere."""
    short = "it carries more water in the winter than in any of the other"
    path = items(tmp_path, {"question": QUESTION, "answer": short})
    assert isinstance(verdict(judge(path), short), Document)
    assert isinstance(verdict(judge(path, min_field_ngrams=1), short), Rejection)
    assert isinstance(verdict(judge(path), f"{QUESTION} {short}"), Rejection)


def test_an_ngram_in_two_fields_of_an_item_is_one_of_its_ngrams(tmp_path: Path) -> None:
    found = judge(items(tmp_path, {"question": QUESTION, "again": QUESTION}), max_items=1)
    assert [(match.matched, match.ngrams) for match in found.index.matches(QUESTION)] == [(7, 7)]


def test_every_verbatim_question_is_found(shared_data: Path) -> None:
    """Real items of GSM8K, whose answers are longer than the questions, and pages that hold a question and nothing else."""
    path = shared_data / "eval/gsm8k_official__test.jsonl.zst"
    found = judge(str(path))
    for number, record in enumerate(read_records(str(path))):
        if number % 30 == 0:
            matches = found.index.matches(f"A page about sums. {record['question']} What comes then?")
            assert (matches[0].item, matches[0].share) == (number + 1, 1)


def test_fields_and_nested_strings(tmp_path: Path) -> None:
    record = {"q": "a", "choices": ["b", {"text": "c"}], "gold": 1, "note": "d"}
    assert list(strings(record)) == ["a", "b", "c", "d"]
    path = items(tmp_path, {"question": [TINY, {"text": QUESTION}], "answer": ANSWER})
    asked = judge(path, fields=("question",)).index
    assert asked.matches(ANSWER) == []
    assert asked.matches(QUESTION)[0].share == 1


@settings(deadline=None)
@given(
    words=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40),
    item=st.lists(st.sampled_from("abcdefgh"), min_size=3, max_size=12),
)
def test_matches_against_sets_of_words(words: list[str], item: list[str]) -> None:
    index = EvaluationIndex(DecontaminateConfig(ngram_words=3, min_words=2))
    assert index._add(("s", 1), {"q": " ".join(item)})  # one item, without a file
    index._index(np.unique(np.concatenate(index._pairs), axis=0))
    of_item = {tuple(item[at : at + 3]) for at in range(len(item) - 2)}
    of_text = {tuple(words[at : at + 3]) for at in range(len(words) - 2)}
    matches = index.matches(" ".join(words))
    assert [match.matched for match in matches] == ([len(of_item & of_text)] if of_item & of_text else [])


def test_wrong_settings_and_sets(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="min_words is 14"):
        DecontaminateConfig(min_words=14)
    with pytest.raises(InputError, match="no item has a string of 8 words"):
        judge(items(tmp_path, {"q": TINY}))
    with pytest.raises(SettingError, match="sets is empty"):
        decontaminate_run(str(tmp_path), DecontaminateConfig(), Engine())


def test_what_is_not_searched_for_is_said(tmp_path: Path) -> None:
    path = items(tmp_path, {"q": QUESTION}, {"q": TINY}, {"q": 7}, {})
    index = judge(path).index
    assert index.num_unsearchable == 3
    assert index.warnings == [
        f"{path}: 3 of 4 items have no string of 8 words or more and are not searched for",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"q": "a"}\n\n{"q": "b"\n', "the record at line 3 is not a JSON object"),  # blank lines count
        (b'{"q": "a"}\n["q"]\n', "the record at line 2 is not a JSON object: the line holds a list, not an object"),
        (b'{"q": "\xff"}\n', "the record at line 1 is not a JSON object"),
        (b"\x1f\x8b\x08\x00 no gzip", "is broken at byte"),
        (b"", "no item has a string of 8 words or more"),
    ],
)
def test_a_broken_set_is_named_with_the_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        judge(str(path))
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_set_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file: .*absent\.jsonl"):
        judge(str(tmp_path / "absent.jsonl"))


def test_the_job_says_what_it_found(
    tmp_path: Path,
    make_run: Callable[..., str],
    in_this_process: Callable[..., Manifest],
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = [f"{QUESTION} And more.", "A clean document of a few words."]
    run = make_run([Document(id=page_id(text, b""), url=f"http://x/{text[0]}", text=text) for text in texts])
    config = DecontaminateConfig(sets=(items(tmp_path, {"q": QUESTION}, {"q": TINY}),))
    in_this_process(run, DedupConfig())
    capsys.readouterr()
    for took in (r", in \d+\.\d s", ""):  # made, then up to date
        decontaminate_run(run, config, Engine())
        found = "1 of 2 documents are contaminated, 1 hold something of the sets"
        said = capsys.readouterr().err
        assert re.search(f"^decontaminate: {found}{took} → .*/contamination-check$", said, re.M), said
        assert ("decontaminate: up to date" in said) == (not took)
        assert ("exam.jsonl: 1 of 2 items have no string of 8 words or more and are not searched for" in said) == bool(
            took
        )


def test_in_a_run(tmp_path: Path, make_run: Callable[..., str], in_this_process: Callable[..., Manifest]) -> None:
    texts = [QUESTION + " And more.", "A clean document of a few words.", f"A quote: {' '.join(QUESTION.split()[:13])}"]
    run = make_run([Document(id=page_id(text, b""), url=f"http://x/{text[0]}", text=text) for text in texts])
    config = DecontaminateConfig(sets=(items(tmp_path, {"q": QUESTION}),))
    flagging = in_this_process(run, DedupConfig())
    assert flagging.counts["kept"] == 3
    checked = decontaminate_run(run, config, Engine())
    assert {name: checked.counts[name] for name in ("read", "matched", "contaminated")} == {
        "read": 3,
        "matched": 2,
        "contaminated": 1,
    }

    dropping = in_this_process(run, DedupConfig(decontaminate=config))
    assert (dropping.counts["kept"], dropping.counts["rejected/dedup/contaminated"]) == (2, 1)
    report = list(read_rows(f"{run}/contamination/part-00000.parquet"))
    assert [(row["set"], row["item"], row["matched"], row["contaminated"]) for row in report] == [
        ("exam", 1, 7, True),
        ("exam", 1, 1, False),
    ]
