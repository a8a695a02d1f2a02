"""Repeated lines and paragraphs: found, removed, counted; the ledger in bytes closes."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.config import DedupConfig
from pipeline.dedup.passages import PASSAGE, REPEATED, RepeatedPassages, repeated, split
from pipeline.dedup.passages_config import PassagesConfig
from pipeline.errors import SettingError
from pipeline.manifests import Manifest
from pipeline.records import Document, page_id
from pipeline.tables import read_documents, read_rows

MENU = "Home | About us | Contact | Terms of use"


@pytest.mark.parametrize(
    ("unit", "text", "expected"),
    [
        ("line", "one two three four\nshort\n\nfive six seven eight", ["one two three four\n", "five six seven eight"]),
        ("line", "", []),
        ("line", "\n\n\n", []),
        ("paragraph", "one two\nthree four\n\nfive six", ["one two\nthree four\n\n"]),
        ("paragraph", "a b c d\n \t\r\ne f g h", ["a b c d\n \t\r\n", "e f g h"]),
    ],
)
def test_split(unit: Any, text: str, expected: list[str]) -> None:
    content, bounds, _ = split(text, PassagesConfig(unit=unit))
    assert [content[start:end].decode() for start, end in bounds.tolist()] == expected


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 20)), max_size=60, unique=True), st.integers(2, 5))
def test_repeated_against_a_counter(rows: list[tuple[int, int]], min_documents: int) -> None:
    passages = np.array(rows, dtype=PASSAGE) if rows else np.zeros(0, PASSAGE)
    counts = Counter(one for one, _ in rows)
    expected = [
        (one, min(document for other, document in rows if other == one), count)
        for one, count in sorted(counts.items())
        if count >= min_documents
    ]
    assert repeated(passages, min_documents).tolist() == expected


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a b c d", "e f g h", "unique words stand here", "x", "", "A  B C d"]), max_size=12))
def test_what_is_removed_and_what_stays_add_up(lines: list[str]) -> None:
    text, config = "\n".join(lines), PassagesConfig()
    of_menu = split("a b c d\ne f g h", config)[2]
    table = np.zeros(2, REPEATED)
    table["hash"] = np.sort(of_menu)
    removal = RepeatedPassages(config, table).without("0" * 32, text)
    gone = [line for line in lines if line in ("a b c d", "e f g h", "A  B C d")]
    assert removal.num_passages == len(gone)
    kept = [line for line in lines if line not in gone]
    assert removal.text.split("\n") == "\n".join(kept).strip("\n").split("\n") or not gone
    assert len(gone) == 0 or removal.num_bytes in range(
        sum(len(g.encode()) for g in gone), sum(len(g.encode()) + 1 for g in gone) + 1
    )


words_strategy = st.lists(st.sampled_from("abcdé中"), max_size=40)


@settings(deadline=None)
@given(words_strategy, words_strategy)
def test_runs_against_sets_of_words(shared: list[str], words: list[str]) -> None:
    """A word stays if no run of five that covers it stands in the other text."""
    config = PassagesConfig(unit="run", run_words=5)
    table = np.zeros(max(len(shared) - 4, 0), REPEATED)
    table["hash"] = np.sort(split(" ".join(shared), config)[2])
    runs = {tuple(shared[at : at + 5]) for at in range(len(shared) - 4)}
    gone = {at + k for at in range(len(words) - 4) if tuple(words[at : at + 5]) in runs for k in range(5)}
    removal = RepeatedPassages(config, table).without("0" * 32, " ".join(words))
    assert removal.text.split() == [word for at, word in enumerate(words) if at not in gone]
    assert removal.num_passages == len([at for at in gone if at - 1 not in gone])
    assert removal.num_bytes == len(" ".join(words).encode()) - len(removal.text.encode())


def test_runs_removed_in_a_run(make_run: Callable[..., str], in_this_process: Callable[..., Manifest]) -> None:
    """A notice of 60 words in the middle of a line, with other punctuation in one document, at another place in each."""
    notice = [f"notice{n}" for n in range(60)]
    texts = [
        " ".join([*(f"own{place}x{n}" for n in range(90 + place)), *notice, *(f"end{place}x{n}" for n in range(90))])
        for place in range(4)
    ]
    texts[1] = texts[1].replace(" ".join(notice), ", ".join(notice).upper())
    documents = [Document(id=page_id(text, b""), url=f"http://x/{n}", text=text) for n, text in enumerate(texts)]
    run = make_run(documents, per_part=2)
    config = DedupConfig(passages=PassagesConfig(action="remove", unit="run", min_documents=2))
    counts = in_this_process(run, config).counts
    kept = [one for path in sorted(Path(run, "documents").glob("*.parquet")) for one in read_documents(str(path))]
    assert [len(one.text.split()) for one in kept] == [180 + place for place in range(4)]
    assert not any("notice" in one.text.lower() for one in kept)
    assert counts["repeated_passages_found"] == 4
    assert sum(len(text.encode()) for text in texts) - counts["kept_text_bytes"] == counts["repeated_passages_bytes"]


def run_of(make_run: Callable[..., str]) -> tuple[str, list[Document]]:
    texts = [f"{MENU}\nArticle {n} is about thing{n} and thing{n + 1}.\n{MENU.upper()}\nfoot" for n in range(8)] + [
        MENU
    ]
    documents = [Document(id=page_id(text, b""), url=f"http://x/{n}", text=text) for n, text in enumerate(texts)]
    return make_run(documents, per_part=3), documents


@pytest.mark.parametrize(("keep_first", "menus"), [(False, 0), (True, 1)])
def test_removed_in_a_run(
    make_run: Callable[..., str], in_this_process: Callable[..., Manifest], keep_first: bool, menus: int
) -> None:
    run, documents = run_of(make_run)
    config = DedupConfig(passages=PassagesConfig(action="remove", min_documents=5, keep_first=keep_first))
    counts = in_this_process(run, config).counts
    kept = [one for path in sorted(Path(run, "documents").glob("*.parquet")) for one in read_documents(str(path))]
    assert sum(MENU in one.text for one in kept) == menus
    assert all("Article" in one.text for one in kept if MENU not in one.text)
    emptied = counts.get("rejected/dedup/only_repeated_passages", 0)
    assert emptied == (0 if keep_first and documents[-1].id == min(one.id for one in documents) else 1)
    assert counts["kept"] + counts["rejected"] == 9
    rows = [row for path in sorted(Path(run, "passages").glob("*.parquet")) for row in read_rows(str(path))]
    assert sum(row["num_bytes"] for row in rows) == counts["repeated_passages_bytes"]


def test_only_counted(make_run: Callable[..., str], in_this_process: Callable[..., Manifest]) -> None:
    run, documents = run_of(make_run)
    counts = in_this_process(run, DedupConfig(passages=PassagesConfig(action="count", min_documents=5))).counts
    kept = [one for path in sorted(Path(run, "documents").glob("*.parquet")) for one in read_documents(str(path))]
    assert [one.text for one in kept] == [one.text for one in documents]
    assert counts["repeated_passages_found"] == 17


def test_wrong_settings() -> None:
    with pytest.raises(SettingError, match=r"dedup\.passages\.min_documents is 1"):
        PassagesConfig(min_documents=1)
    with pytest.raises(SettingError, match=r"dedup\.passages\.run_words is 4"):
        PassagesConfig(unit="run", run_words=4)
