"""Repeated spans of sentences: cut as the classifiers cut, found and removed as a slow oracle does it, a text that can be read left."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.dedup import step_of
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.filtering import deduplicate_records
from pipeline.dedup.passages import PASSAGE, RepeatedPassages, repeated, split
from pipeline.dedup.passages_config import PassagesConfig
from pipeline.dedup.plan import id_text
from pipeline.dedup.sentences import without_sentences
from pipeline.errors import SettingError
from pipeline.filter.reading import sentences
from pipeline.jsonl import read_records, writing
from pipeline.manifests import Manifest
from pipeline.records import Document, page_id
from pipeline.tables import read_documents, read_rows

AS_C4 = PassagesConfig(action="remove", unit="sentences", min_documents=2, keep_first=True, min_words=1)


@settings(deadline=None, max_examples=200)
@given(st.text(st.sampled_from('ab.!?…。！？\n \t\r\u00a0\u2028\u3000\x1c-"é中'), max_size=40))
@example("a. b")
@example("-\na 。b")
def test_sentences_are_those_of_the_classifiers(text: str) -> None:
    content, bounds, _ = split(text, PassagesConfig(unit="sentences", span_sentences=1, min_words=1))
    found = [content[start:end].decode() for start, end in bounds.tolist()]
    with_words = [re.sub(r"\W", "", one) for one in sentences(text) if re.search(r"\w", one)]
    assert [re.sub(r"\W", "", one) for one in found] == with_words
    assert "".join(found) == (text if found else "")


def cut_by_oracle(documents: list[list[str]]) -> list[list[str]]:
    """The sentences that stay: a span of three stays whole where it stands in no earlier document."""
    spans = [{tuple(one[at : at + 3]) for at in range(len(one) - 2)} for one in documents]
    left = []
    for number, one in enumerate(documents):
        gone = {
            at + k
            for at in range(len(one) - 2)
            if any(tuple(one[at : at + 3]) in earlier for earlier in spans[:number])
            for k in range(3)
        }
        left.append([sentence for at, sentence in enumerate(one) if at not in gone])
    return left


def all_without(texts: list[str], config: PassagesConfig = AS_C4) -> list[str]:
    """The texts, of ids in order, without what they repeat of each other."""
    rows = [(one, number) for number, text in enumerate(texts) for one in np.unique(split(text, config)[2]).tolist()]
    table = repeated(np.array(rows, PASSAGE) if rows else np.zeros(0, PASSAGE), config.min_documents)
    found = RepeatedPassages(config, table)
    return [found.without(id_text(number, number), text).text for number, text in enumerate(texts)]


sentence = st.sampled_from(["One two.", "THREE é!", "Four five?", "Six…", "中文。", "seven"])
gap = st.sampled_from([" ", "\n", "\n\n", "  ", "\n    "])


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(st.tuples(sentence, gap), max_size=12), min_size=2, max_size=4))
def test_against_the_oracle(documents: list[list[tuple[str, str]]]) -> None:
    """`seven` has no mark, so it ends with its line."""
    told = [[(one, "\n" if one == "seven" and "\n" not in gap else gap) for one, gap in parts] for parts in documents]
    texts = ["".join(one + gap for one, gap in parts).strip() for parts in told]
    expected = cut_by_oracle([[one for one, _ in parts] for parts in told])
    found = all_without(texts)
    assert [one.split() for one in found] == [" ".join(one).split() for one in expected]
    for text in found:
        assert text == text.strip()
    for sentence in {one for parts in told for one, _ in parts}:
        assert any(sentence in text for text in found), "each sentence stays somewhere"


@settings(deadline=None)
@given(st.lists(gap, min_size=8, max_size=8), st.integers(0, 6), st.integers(1, 7))
def test_breaks_stay(gaps: list[str], one: int, other: int) -> None:
    """Two sentences that stay are on one line, in one paragraph, only if they were before."""
    first, end = min(one, other - 1), max(one + 1, other)
    starts = np.cumsum([0] + [5 + len(gap) for gap in gaps])
    text = "".join(f"Is {n}." + gap for n, gap in enumerate(gaps))
    left = without_sentences(text.encode(), np.array([[starts[first], starts[end]]])).decode()
    kept = [n for n in range(8) if not first <= n < end]
    assert [int(n) for n in re.findall(r"\d", left)] == kept
    for before, after in pairwise(kept):
        between = left[left.index(f"{before}.") + 2 : left.index(f"Is {after}")]
        assert between.count("\n") == max(gap.count("\n") for gap in gaps[before:after])
        assert between.isspace()
        assert "\n" not in gaps[after - 1] or between.rpartition("\n")[2] == gaps[after - 1].rpartition("\n")[2]


SHARED = "We use cookies. You may refuse them. Read our policy."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Own one. {SHARED} Own two.", "Own one. Own two."),
        (f"Own one.\n\n{SHARED} Own two.", "Own one.\n\nOwn two."),
        (f"Own one. {SHARED}\n\nOwn two.", "Own one.\n\nOwn two."),
        ("Own one. We use cookies.\nYou may refuse them. Read our policy. Own two.", "Own one.\nOwn two."),
        (f"{SHARED}\nOwn two.", "Own two."),
        (f"Own one.\n{SHARED}", "Own one."),
        (f"Own one. {SHARED.upper()} Own two. {SHARED}", "Own one. Own two."),
        (f"* * *\n{SHARED}\n* * *\nOwn two.", "Own two."),
        ("Own one. We use cookies. You may refuse them. Own two.", None),  # two sentences are no span
        ("说明。We use cookies. You may refuse them. Read our policy.说明。", None),  # its last sentence is another
        ("说明。We use cookies. You may refuse them. Read our policy. 说明。", "说明。 说明。"),
    ],
)
def test_by_hand(text: str, expected: str | None) -> None:
    assert all_without([SHARED, text])[1] == (text if expected is None else expected)


def test_few_words_and_longer_spans() -> None:
    assert (
        all_without(["Yes. No. Maybe."] * 2, PassagesConfig(unit="sentences", min_documents=2))
        == ["Yes. No. Maybe."] * 2
    )
    four = PassagesConfig(unit="sentences", min_documents=2, span_sentences=4)
    assert all_without([SHARED, SHARED], four) == [SHARED] * 2


def test_in_a_run_and_at_a_shell(
    make_run: Callable[..., str], in_this_process: Callable[..., Manifest], tmp_path: Path
) -> None:
    """The ledgers of documents and of bytes close; the first by id keeps the span; one of nothing else is rejected."""
    texts = [f"Article {n} is long. It has a body of {n} words.\n{SHARED} Number {n}." for n in range(6)] + [SHARED]
    documents = [Document(id=page_id(text, b""), url=f"http://x/{n}", text=text) for n, text in enumerate(texts)]
    run = make_run(documents, per_part=2)
    config = DedupConfig(threshold=1.0, passages=AS_C4)
    counts = in_this_process(run, config).counts
    kept = [one for path in sorted(Path(run, "documents").glob("*.parquet")) for one in read_documents(str(path))]
    first = min(documents, key=lambda one: one.id)
    assert [one.id for one in kept if SHARED in one.text] == [first.id]
    emptied = counts.get("rejected/dedup/only_repeated_passages", 0)
    assert (counts["kept"], counts["rejected"], emptied) == (7 - emptied, emptied, int(first.text != SHARED))
    rows = [row for path in sorted(Path(run, "passages").glob("*.parquet")) for row in read_rows(str(path))]
    assert sum(row["num_bytes"] for row in rows) == counts["repeated_passages_bytes"]
    lost = sum(len(text.encode()) for text in texts) - counts["kept_text_bytes"]
    assert lost == counts["repeated_passages_bytes"]
    given, left = str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl")
    with writing(given) as records:
        for text in texts:
            records.write({"text": text})
    # Records are in the order of the file, which their ids here follow.
    deduplicate_records(given, left, config=config)
    assert [record["text"] for record in read_records(left)] == all_without(texts)[:-1]


def test_settings_of_before_are_up_to_date() -> None:
    before = step_of("run", DedupConfig(passages=PassagesConfig(action="remove"))).settings["dedup"]
    assert "span_sentences" not in before["passages"]
    assert step_of("run", DedupConfig(passages=AS_C4)).settings["dedup"]["passages"]["span_sentences"] == 3
    with pytest.raises(SettingError, match=r"dedup\.passages\.span_sentences is 0; allowed is 1 or more"):
        PassagesConfig(span_sentences=0)
