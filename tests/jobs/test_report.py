"""What a report says about examples, bars and times, and that nothing of a page becomes part of its HTML."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs import examples, report, times
from jobs.bars import bars, groups
from jobs.config import RunConfig, RunSettings
from pipeline import manifests, storage
from pipeline.manifests import Manifest
from pipeline.records import Document, Rejection
from pipeline.tables import DOCUMENTS, REJECTIONS, TableWriter, document_row, rejection_row

HOSTILE = "<script>alert(1)</script>"
REJECTED = [
    Rejection(id="b", url="u:b", stage="filter", reason="too_few_words", value=12.0, threshold=50.0),
    Rejection(id="a", url="u:a", stage="filter", reason="too_few_words", value=47.0, threshold=50.0),
    Rejection(id="c", url="u:c", stage="filter", reason="words_too_long", value=10.96, threshold=10.0),
    Rejection(id="d", url=f"u:{HOSTILE}", stage="filter", reason="language.not_allowed", detail="es " * 100),
]


def write(folder: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]], **counts: int) -> None:
    """A complete dataset of one part."""
    with TableWriter(str(folder / "part-000000.parquet"), schema) as table:
        for row in rows:
            table.append(row)
    files = (table.entry().relative_to(str(folder)),)
    manifests.write_manifest(str(folder), Manifest(kind="x", fingerprint="x", files=files, counts=counts))


@pytest.fixture
def run(tmp_path: Path) -> str:
    document = Document(id="k", url="http://127.0.0.1/it's", title=HOSTILE, text=f"First.\n\n\n{HOSTILE}" + "x" * 400)
    write(tmp_path / "filtered", DOCUMENTS, [document_row(document)], read=5, kept=1, rejected=4, **{
        "rejected/filter/too_few_words": 2, "rejected/filter/words_too_long": 1, "rejected/filter/language.not_allowed": 1,
    })  # fmt: skip
    write(tmp_path / "documents", DOCUMENTS, [document_row(document)], read=1, kept=1, rejected=0)
    write(tmp_path / "rejected/filter", REJECTIONS, [rejection_row(each) for each in REJECTED])
    return str(tmp_path)


def test_each_reason_has_the_example_of_the_smallest_id(run: str) -> None:
    found = examples.rejected(run)
    assert {reason: (each.url, each.measured) for reason, each in found.items()} == {
        "filter: too_few_words": ("u:a", "47, below 50"),
        "filter: words_too_long": ("u:c", "10.96, above 10"),
        "filter: language.not_allowed": (f"u:{HOSTILE}", ("es " * 100)[:80] + "…"),
    }


def test_duplicates_are_said_to_be_similar_and_not_below_a_threshold(tmp_path: Path) -> None:
    """In a chain of near duplicates the one that is kept may be less similar than any two neighbours."""
    link = Rejection(
        id="a", url="u", stage="dedup", reason="near_duplicate", value=0.7413, threshold=0.75, duplicate_of="b"
    )
    write(tmp_path / "rejected/dedup", REJECTIONS, [rejection_row(link)])
    assert examples.rejected(str(tmp_path))["dedup: near_duplicate"].measured == "similarity 0.7413 to the one kept"


def test_what_pages_say_stays_text(run: str) -> None:
    report.main(RunConfig(run=RunSettings(folder=run)))
    html = Path(run, report.REPORT).read_text("utf-8")
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3  # a title, a text, the URL of a rejection
    assert (
        f"corpusmill explain {run} &#39;http://127.0.0.1/it&#39;&#34;&#39;&#34;&#39;s&#39;" in html
    )  # quoted for a shell
    assert "prefers-color-scheme: dark" in html
    assert "max-width: 40rem" in html


def test_answers_to_questions_have_a_table(run: str) -> None:
    asked = {"questions": 1200, "accuracy": 0.3125}
    value = {
        "heldout": {"bits_per_byte": 1.5}, "parameters": 10, "ngram": {}, "samples": [],
        "multiple_choice": {"sets/<b>.jsonl": asked | {"by_chance": 0.25}}, "completions": {"lambada.jsonl": asked},
    }  # fmt: skip
    storage.write_json(f"{run}/evaluation/scores.json", value)
    manifests.write_manifest(f"{run}/evaluation", Manifest(kind="x", fingerprint="x", files=()))
    report.main(RunConfig(run=RunSettings(folder=run)))
    html = Path(run, report.REPORT).read_text("utf-8")
    assert "<td>&lt;b&gt;.jsonl</td><td>31.2% of 1,200 right, 25.0% by chance</td>" in html
    assert "<td>lambada.jsonl</td><td>31.2% of 1,200 right</td>" in html


def test_bars_are_shares_of_the_longest() -> None:
    assert [(bar.name, bar.percent, bar.text, bar.strong) for bar in bars({"a": 2, "b": 8}, highlight="b")] == [
        ("a", 25.0, "2", False),
        ("b", 100.0, "8", True),
    ]
    assert [(bar.name, bar.series, bar.percent) for bar in groups({"x": {"ours": 4.0, "theirs": 1.0}})] == [
        ("x", "ours", 100.0),
        ("", "theirs", 25.0),
    ]
    assert bars({}) == []
    assert bars({"a": 0})[0].percent == 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.4, "59.4 s"), (59.7, "1 min 00 s"), (3725, "62 min 05 s")]
)
def test_times_for_people(seconds: float, text: str) -> None:
    assert times.duration(seconds) == text
