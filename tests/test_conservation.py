"""Nothing is lost and nothing comes twice: at every stage, whatever the records do."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs import curate, ingest, ledger
from jobs.config import RunConfig, RunSettings
from jobs.engine import Engine, run_step
from pipeline import manifests
from pipeline.errors import DataError
from pipeline.extract.config import ExtractConfig
from pipeline.extract.stage import ExtractText
from pipeline.filter.config import FilterConfig
from pipeline.filter.stage import FilterDocuments
from pipeline.ingest.config import IngestConfig
from pipeline.pack.shards import ShardSet
from pipeline.records import Document, Page, Rejection, page_id
from pipeline.stage import JudgeEach, judge_one
from pipeline.steps import Shard, Step
from tests import corpora
from tests.runs import Made, rows
from tokenizer.encoding import load_encoder

pytestmark = pytest.mark.xdist_group("runs")

# What a judge may throw at us: kinds that engines, pickling and generators treat in ways of their own.
FAILURES = (ValueError, KeyError, RecursionError, MemoryError, StopIteration, UnicodeError, AssertionError, OSError)


@dataclass(frozen=True)
class Exploding:
    """A judge that keeps some records, rejects some, and breaks on the others in every way."""

    stage: str = "exploding"
    measures: Sequence[str] = ("length",)

    def setup(self) -> None: ...

    def judge(self, record: Any) -> Any:
        number = int(record.url.rpartition("/")[2])
        if number % 3 == 0:
            return Document(
                id=record.id, url=record.url, text=record.payload.decode(), measures={"length": float(number)}
            )
        if number % 3 == 1:
            return Rejection(
                id=record.id,
                url=record.url,
                stage=self.stage,
                reason="odd",
                value=float(number),
                threshold=1.0,
                measures={"length": 1.0},
            )
        raise FAILURES[number % len(FAILURES)](f"record {number} breaks")


def read_numbers(shard: Shard) -> Iterable[Page | Rejection]:
    """As many pages as the shard says; the last place is one that cannot be read."""
    first, last = shard.work
    for number in range(first, last):
        url = f"https://example.org/{number}"
        yield Page(id=page_id(url, b"x"), url=url, payload=f"Page {number}.".encode())
    yield Rejection(id=page_id("", b"%d" % last), url="", stage="exploding", reason="unreadable")


def test_each_record_leaves_a_stage_once(tmp_path: Path) -> None:
    step = Step(run=str(tmp_path), name="exploding", outputs=("kept", "measures", "rejected"))
    shards = [Shard(name=f"part-{number}", work=[100 * number, 100 * number + 100]) for number in range(3)]
    build = JudgeEach(step, read_numbers, (Exploding(),), kept="kept", rejected="rejected", measures="measures")
    manifest = run_step(step, shards, lambda elements: elements | build, Engine(), label="exploding")
    kept, rejected = rows(tmp_path, "kept"), rows(tmp_path, "rejected")
    assert len(kept) + len(rejected) == 303 == len({row["id"] for row in (*kept, *rejected)})
    counted = Counter(f"rejected/{row['stage']}/{row['reason']}" for row in rejected)
    expected = {
        "read": 303,
        "kept": len(kept),
        "rejected": len(rejected),
        "kept_text_bytes": sum(len(row["text"]) for row in kept),
        **counted,
    }
    assert manifest.counts == expected
    errors = {row["reason"] for row in rejected if row["reason"].startswith("error/")}
    assert errors == {f"error/{kind.__name__}" for kind in FAILURES}
    assert {row["detail"] for row in rejected if row["reason"] == "error/ValueError"} == {
        f"record {n} breaks" for n in range(300) if n % 3 == 2 and n % 8 == 0
    }
    measured = rows(tmp_path, "measures")
    assert len(measured) == sum(n % 3 < 2 for n in range(300))
    assert Counter(row["decision"] for row in measured) == {"kept": 100, "odd": 100}


def test_a_failing_disk_is_not_taken_for_a_bad_record() -> None:
    @dataclass(frozen=True)
    class Disk(Exploding):
        def judge(self, record: Any) -> Any:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        judge_one((Disk(),), Page(id="0", url="u/1", payload=b""))


# --- ingest, extract and filter ---------------------------------------------------------------------------

HOSTILE = [
    b'{"text": "a lone surrogate \\ud83d in the text", "url": "https://example.org/surrogate"}',
    b'{"text": "fine", "title": "\\ud800", "author": "\\udfff"}',
    b'{"text": "a NUL \\u0000 inside"}',
    b'{"text": ""}',
    b'{"text": null}',
    b'{"text": 3}',
    b'{"no": "text"}',
    b"[1, 2, 3]",
    b'"just a text"',
    b"{broken",
    b"\xff\xfe\x00",
    b'{"text": "unfinished',
    b'{"text": "bad url", "url": "http://[::1"}',
    b'{"text": "no url at all", "url": ""}',
    b'{"text": "odd id", "id": {"a": 1}}',
    b'{"text": "same", "url": "https://example.org/same"}',
    b'{"text": "same", "url": "https://example.org/same"}',
    b'{"text": "' + b"x" * 3_000_000 + b'"}',
    b'{"html": "' + b"<div>" * 30_000 + b'"}',
    b'{"html": "<p>\\u202e\\ufeff\\ud83d</p>", "url": "https://example.org/marks"}',
    b"[" * 50_000,
    b'{"text": "big", "n": 1' + b"0" * 5000 + b"}",
]


def hostile_config(tmp_path: Path, **run: Any) -> RunConfig:
    """A run over hostile records among good ones, in one file."""
    good = [
        json.dumps({"url": f"https://example.org/{n}", "text": text}).encode()
        for n, text in enumerate(corpora.good_texts(20))
    ]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([*HOSTILE, *good]) + b"\n")
    return RunConfig(
        run=RunSettings(folder=str(tmp_path / "run"), **run),
        ingest=IngestConfig(inputs=(str(tmp_path / "in.jsonl"),), max_unreadable_files=1),
        extract=ExtractConfig(isolate=False),
    )


def test_hostile_records_are_conserved(tmp_path: Path) -> None:
    config = hostile_config(tmp_path, max_error_share=0.0)
    pages = ingest.main(config, Engine())
    assert pages.counts["read"] == len(HOSTILE) + 20 == pages.counts["kept"] + pages.counts["rejected"]
    documents = curate.main(config, Engine())
    ledger.check(config.run.folder)
    run = Path(config.run.folder)
    filtered = manifests.read_manifest(str(run / "filtered")).counts
    assert filtered["read"] == pages.counts["kept"] == filtered["kept"] + filtered["rejected"]
    assert documents.counts["read"] == filtered["kept"] == documents.counts["kept"] + documents.counts["rejected"]
    assert documents.counts["kept"] >= 15


def breaking_recipe(extract: ExtractConfig, filtering: FilterConfig) -> tuple[Any, ...]:
    return ExtractText(extract), _Breaking(FilterDocuments(filtering))


class _Breaking:
    """`judge` with a defect that some texts bring to light."""

    def __init__(self, judge: FilterDocuments) -> None:
        self._judge = judge
        self.stage = judge.stage
        self.measures = judge.measures

    def setup(self) -> None:
        self._judge.setup()

    def judge(self, document: Document) -> Any:
        if len(document.text) % 3 == 0:
            raise ZeroDivisionError("a defect")
        return self._judge.judge(document)


def test_too_many_errors_fail_the_job_and_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.corpus.recipe", breaking_recipe)
    config = hostile_config(tmp_path, max_error_share=0.02)
    ingest.main(config, Engine())
    for _attempt in range(2):  # the second finds the step up to date, and still refuses to go on
        with pytest.raises(
            DataError,
            match=r"of the pages ended in unforeseen errors, most often ZeroDivisionError; run\.max_error_share allows 2\.0%",
        ) as caught:
            curate.main(config, Engine())
        assert "\n" not in str(caught.value)
    counts = manifests.read_manifest(str(tmp_path / "run/filtered")).counts
    assert counts["read"] == counts["kept"] + counts["rejected"]
    assert counts["rejected/filter/error/ZeroDivisionError"] > 0
    allowed = replace(config, run=RunSettings(folder=config.run.folder, max_error_share=1.0))
    curate.main(allowed, Engine())
    ledger.check(config.run.folder)


# --- dedup and pack, on the finished run --------------------------------------------------------------------


def test_manifests_agree_with_the_rows(made: Made) -> None:
    for kept, rejected in (
        ("pages", "rejected/pages"),
        ("filtered", "rejected/filter"),
        ("documents", "rejected/dedup"),
    ):
        counts = manifests.read_manifest(str(made.run / kept)).counts
        num_kept, refused = len(rows(made.run, kept)), rows(made.run, rejected)
        assert (counts["read"], counts["kept"], counts["rejected"]) == (num_kept + len(refused), num_kept, len(refused))
        reasons = Counter(f"rejected/{row['stage']}/{row['reason']}" for row in refused)
        assert {name: count for name, count in counts.items() if name.startswith("rejected/")} == reasons


def test_the_ledger_notices_one_lost_and_one_doubled(made: Made, tmp_path: Path) -> None:
    mine = made.copied(tmp_path / "mine")
    part = max((mine.run / "documents").glob("part-*.parquet"), key=lambda path: path.stat().st_size)
    table = pq.read_table(part)
    assert len(table) > 2
    pq.write_table(table.take([0, 0, *range(2, len(table))]), part)
    with pytest.raises(DataError, match="step dedup: the ids that came in are not those that were kept or rejected"):
        ledger.check(str(mine.run))


def test_packing_conserves_every_token(made: Made) -> None:
    """Each document's tokens and its end, label by label, are in the rows of one split, once."""
    encoder = load_encoder(str(made.run / "tokenizer/tokenizer.json"))
    labels: dict[str, dict[int, list[int]]] = defaultdict(dict)
    for split in ("train", "heldout"):
        shards = ShardSet.open(str(made.run / "shards"), split)
        for source in shards.sources:
            for number in range(shards.num_rows(source)):
                row = shards.row(source, number)
                for start, end, offset, doc_id in zip(row.starts, row.ends, row.offsets, row.doc_ids, strict=True):
                    assert offset not in labels[doc_id.hex()], "a piece came twice"
                    labels[doc_id.hex()][offset] = list(row.tokens[start + 1 : end + 1])
        shards.close()
    texts = {row["id"]: row["text"] for row in rows(made.run, "documents")}
    assert set(labels) == set(texts)
    for id, text in texts.items():
        joined = [label for offset in sorted(labels[id]) for label in labels[id][offset]]
        assert joined == [*encoder.encode(text), encoder.end_of_text_id]
    counts = manifests.read_manifest(str(made.run / "shards")).counts
    assert counts["train/tokens"] + counts["heldout/tokens"] == sum(
        len(encoder.encode(text)) for text in texts.values()
    )
    assert counts["train/documents"] + counts["heldout/documents"] == len(texts)
