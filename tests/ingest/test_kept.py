"""Fields of the input that are kept: from records of every kind, through a whole run, and into the next one."""

import io
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import curate, explain, stats
from jobs.config import RunConfig, RunSettings
from jobs.engine import Engine
from jobs.ingest import ingest_run
from pipeline.errors import InputError, SettingError
from pipeline.extract.config import ExtractConfig
from pipeline.filter.config import ClassifierConfig, FilterConfig, GopherQualityConfig
from pipeline.ingest.captures import Capture, Place
from pipeline.ingest.config import FieldNames, IngestConfig
from pipeline.ingest.fields import found_in_fields
from pipeline.ingest.kept import MAX_KEPT_BYTES, kept_of
from pipeline.ingest.parquet import found_in_rows
from pipeline.ingest.payloads import FIELDS_KEY, index_schema
from pipeline.manifests import read_manifest
from pipeline.tables import DOCUMENTS, DOCUMENTS_WITH_KEPT
from tests.ingest.archives import archive, crawl
from tests.runs import assert_same, contents, rows

PLACE = Place(kind="jsonl", position=0)
SENTENCE = (
    "In the garden of the old house there is a tree that has been there for longer than the town around it, and of"
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),  # numbers stay numbers
        (0.25, 0.25),
        (True, True),
        (Decimal("1.5"), 1.5),  # as Parquet may hold them
        (Decimal("12345678901234567890"), 12345678901234567890),  # an id, which a float would round
        ("Grüße", "Grüße"),
        ("lone \ud800", "lone ?"),  # as in texts
        (b"\xff", "\ufffd"),
        (datetime(2026, 1, 2, 3), "2026-01-02T03:00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (["a", None, 1], ["a", None, 1]),
        ({"b": 1, "a": {"x": float("inf")}}, {"a": {"x": None}, "b": 1}),
        ("x" * (MAX_KEPT_BYTES - 2), "x" * (MAX_KEPT_BYTES - 2)),  # with its two quotes
    ],
)
def test_values_as_json(value: Any, expected: Any) -> None:
    kept = kept_of({"name": value})
    assert json.loads(kept.text) == {"name": expected}
    assert (kept.present, kept.left_out) == (("name",), ())


def test_what_is_missing_or_too_long_is_not_there() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    long = "é" * (MAX_KEPT_BYTES // 2)  # within the limit in characters, not in bytes
    kept = kept_of({"null": None, "nan": float("nan"), "long": long, "b": 1, "deep": deep, "a": 2})
    assert kept == ('{"a":2,"b":1}', ("a", "b"), ("deep", "long"))


def test_dotted_names_go_into_nested_fields() -> None:
    names = FieldNames(keep=("meta.dump", "meta.none", "a.b"))
    capture = found_in_fields({"text": "words", "meta": {"dump": "D", "x": 1}, "a.b": [1]}, names, PLACE, 99)
    assert isinstance(capture, Capture)
    assert json.loads(capture.kept.text) == {"a.b": [1], "meta.dump": "D"}


def test_nothing_is_kept_without_the_setting() -> None:
    capture = found_in_fields({"text": "words", "dump": "D"}, FieldNames(), PLACE, 99)
    assert isinstance(capture, Capture)
    assert capture.kept.text == ""
    named = (
        b'"author": "author", "date": "date", "html": "html", "id": "id", "language": "language", "licence": "licence"'
    )
    assert index_schema(FieldNames()).metadata[FIELDS_KEY] == b"{" + named + b', "text": "text", "title": "title", "url": "url"}'  # fmt: skip
    assert "keep" in json.loads(index_schema(FieldNames(keep=("dump",))).metadata[FIELDS_KEY])


@pytest.mark.parametrize("keep", [("",), ("a", "a"), ("text",), ("html",)])
def test_names_that_cannot_be_kept(keep: tuple[str, ...]) -> None:
    with pytest.raises(SettingError, match=r"ingest\.fields\.keep names"):
        FieldNames(keep=keep)


def records(number: int = 60) -> list[dict[str, Any]]:
    """Documents of which the filter keeps most, with fields as a public corpus has them; every tenth text comes twice."""
    return [
        {
            "id": str(at),
            "url": f"https://example.org/{at}",
            "text": f"{SENTENCE} {' '.join(f'the word{(at - at % 10 // 9) * 97 + word}' for word in range(40))}."
            if at % 7
            else "Too short.",
            "dump": f"CC-{at % 3}",
            "token_count": at,
            "language_score": at / 64,
            "meta": {"path": f"s3://a/{at}"},
        }
        for at in range(number)
    ]


def parquet(folder: Path, group: int = 20) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(records()), folder / "a.parquet", row_group_size=group)
    return folder


def config_of(run: Path, *inputs: Path | str, min_words: int = 20, **settings: Any) -> RunConfig:
    off = ClassifierConfig(on=False)
    quality = GopherQualityConfig(min_words=min_words)
    rules = FilterConfig(sets=("gopher_quality",), gopher_quality=quality, spam=off, toxicity=off)
    ingest = IngestConfig(inputs=tuple(map(str, inputs)), **settings)
    return RunConfig(
        run=RunSettings(folder=str(run)), ingest=ingest, extract=ExtractConfig(isolate=False), filter=rules
    )


def filtered(run: Path, *inputs: Path | str, workers: int = 1, min_words: int = 20, **settings: Any) -> Path:
    config = config_of(run, *inputs, min_words=min_words, **settings)
    ingest_run(str(run), config.ingest, Engine(workers=workers))
    curate.filter_pages(config, Engine(workers=workers))
    return run


def made(run: Path, *inputs: Path | str, workers: int = 1, **settings: Any) -> Path:
    filtered(run, *inputs, workers=workers, **settings)
    curate.main(config_of(run, *inputs, **settings), Engine(workers=workers))
    return run


KEEP = FieldNames(keep=("dump", "token_count", "language_score", "meta.path"))


def expected(row: dict[str, Any]) -> dict[str, Any]:
    at = int(row["url"].rpartition("/")[2])
    return {"dump": f"CC-{at % 3}", "language_score": at / 64, "meta.path": f"s3://a/{at}", "token_count": at}


@pytest.mark.slow
def test_a_run_keeps_them_with_any_number_of_workers(tmp_path: Path) -> None:
    inputs = parquet(tmp_path / "in")
    run = made(tmp_path / "one", inputs, fields=KEEP, split_bytes=1)
    for dataset in ("filtered", "documents"):
        found = rows(run, dataset)
        assert 30 < len(found) < 60
        assert [json.loads(row["metadata"]) for row in found] == [expected(row) for row in found]
        assert all(list(json.loads(row["metadata"])) == sorted(KEEP.keep) for row in found)
        assert pq.read_schema(run / dataset / "part-000000.parquet") == DOCUMENTS_WITH_KEPT
    assert rows(run, "rejected/dedup"), "some are duplicates"
    assert len(list((run / "documents").glob("part-*"))) > 1
    other = made(tmp_path / "two", inputs, fields=KEEP, split_bytes=1, workers=2)
    datasets = ("pages", "filtered", "measures", "rejected", "documents", "duplicates")
    assert_same(contents(run, datasets), contents(other, datasets))
    assert read_manifest(f"{run}/pages").counts["with_field/dump"] == 60


def test_without_the_setting_nothing_is_other_than_it_was(tmp_path: Path) -> None:
    inputs = parquet(tmp_path / "in")
    run = made(tmp_path / "run", inputs)
    assert pq.read_schema(run / "documents/part-000000.parquet") == DOCUMENTS
    manifest = read_manifest(f"{run}/pages")
    assert "keep" not in manifest.settings["fields"]
    assert not [name for name in manifest.counts if name.startswith(("with_field/", "left_out/"))]
    plain = [{**row, "metadata": ""} for row in rows(run, "documents")]
    kept = [{**row, "metadata": ""} for row in rows(made(tmp_path / "kept", inputs, fields=KEEP), "documents")]
    assert plain == kept  # the same documents, but for the column


def test_other_fields_make_the_documents_again(tmp_path: Path) -> None:
    inputs, run = parquet(tmp_path / "in"), tmp_path / "run"
    for keep, has in (((), None), (("dump",), {"dump": "CC-1"}), (("dump", "token_count"), {"dump": "CC-1", "token_count": 1}), ((), None)):  # fmt: skip
        (row,) = [row for row in rows(filtered(run, inputs, fields=FieldNames(keep=keep)), "filtered") if row["url"].endswith("/1")]  # fmt: skip
        assert (json.loads(row["metadata"]) if has else row.get("metadata")) == has


def test_other_values_beside_the_same_texts_make_the_documents_again(tmp_path: Path) -> None:
    file, run = tmp_path / "a.jsonl", tmp_path / "run"
    for dump in ("one", "two"):
        file.write_text("".join(json.dumps({**row, "dump": dump}) + "\n" for row in records(20)))
        found = rows(filtered(run, file, fields=FieldNames(keep=("dump",))), "filtered")
        assert {row["metadata"] for row in found} == {json.dumps({"dump": dump}, separators=(",", ":"))}


def test_thresholds_replay_with_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Decided again from what is stored, byte for byte as from the pages: also where a page is read again."""
    inputs = parquet(tmp_path / "in")
    again = filtered(tmp_path / "again", inputs, fields=KEEP, min_words=500)
    assert not rows(again, "filtered")
    filtered(again, inputs, fields=KEEP, min_words=20)
    assert "decided again from stored measures" in capsys.readouterr().err
    filtered(again, inputs, fields=KEEP, min_words=19)
    assert_same(
        contents(again, ("filtered", "measures", "filtered")),
        contents(filtered(tmp_path / "once", inputs, fields=KEEP, min_words=19), ("filtered", "measures", "filtered")),
    )


@pytest.mark.slow
def test_a_run_is_an_input_with_them(tmp_path: Path) -> None:
    """Its pages, whatever it kept itself; and its documents, by the names under which it kept them."""
    run = made(tmp_path / "first", parquet(tmp_path / "in"), fields=KEEP)
    wanted = {row["url"]: json.loads(row["metadata"]) for row in rows(run, "documents")}
    narrow = FieldNames(keep=("language_score", "meta.path", "canonical"))
    for dataset in ("pages", "documents", "filtered"):
        second = rows(filtered(tmp_path / dataset, run / dataset, fields=narrow), "filtered")
        assert {row["url"] for row in second} >= set(wanted)
        for row in second:
            kept = expected(row)  # the score of the source, not the one that the run found
            canonical = {} if dataset == "pages" else {"canonical": ""}  # a column of the documents
            assert json.loads(row["metadata"]) == {name: kept[name] for name in narrow.keep[:2]} | canonical
    plain = filtered(tmp_path / "plain", tmp_path / "in")
    third = rows(filtered(tmp_path / "third", plain, fields=KEEP), "filtered")
    assert [json.loads(row["metadata"]) for row in third] == [expected(row) for row in third]


def test_an_archive_beside_lines_has_none(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.warc.gz").write_bytes(archive(crawl(range(5))))
    (tmp_path / "in/b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in records(20)))
    config = config_of(tmp_path / "run", tmp_path / "in", fields=FieldNames(keep=("dump",)))
    ingest_run(config.run.folder, config.ingest, Engine(workers=1))
    curate.main(RunConfig(run=config.run, ingest=config.ingest, filter=FilterConfig(sets=())), Engine(workers=1))
    found = {row["url"]: row["metadata"] for row in rows(tmp_path / "run", "filtered")}
    assert found["http://example.com/1"] == "{}"
    assert found["https://example.org/1"] == '{"dump":"CC-1"}'


def test_a_field_that_no_file_has_is_said_before_any_work(tmp_path: Path) -> None:
    inputs = parquet(tmp_path / "in")
    for name in ("dmup", "meta.dump", "dump.x"):
        with pytest.raises(InputError, match=rf"ingest.fields.keep names '{name}', which .*a.parquet does not have; it has id, url, text, dump, "):  # fmt: skip
            ingest_run(str(tmp_path / "x"), IngestConfig(inputs=(str(inputs),), fields=FieldNames(keep=("dump", name))), Engine())  # fmt: skip
    other = tmp_path / "other"
    other.mkdir()
    pq.write_table(pa.table({"text": ["One text."]}), other / "b.parquet")
    sources = {"one": str(inputs), "other": str(other)}
    ingest_run(str(tmp_path / "y"), IngestConfig(sources=sources, fields=FieldNames(keep=("dump",))), Engine())
    with pytest.raises(InputError, match="nor do the first files of 1 other sources"):
        ingest_run(str(tmp_path / "z"), IngestConfig(sources=sources, fields=FieldNames(keep=("x",))), Engine())
    (tmp_path / "c.txt").write_text("Words.")
    with pytest.raises(InputError, match="no input has fields"):
        ingest_run(str(tmp_path / "z"), IngestConfig(inputs=(str(tmp_path / "c.txt"),), fields=KEEP), Engine())


def test_what_of_lines_is_missing_or_too_long_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [{"text": "One.", "a": "x" * MAX_KEPT_BYTES, "b": 1}, {"text": "Two.", "a": "short"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = IngestConfig(inputs=(str(tmp_path / "a.jsonl"),), fields=FieldNames(keep=("a", "b", "c")))
    counts = ingest_run(str(tmp_path / "run"), config, Engine()).counts
    assert {name: counts[name] for name in counts if "/" in name} == {"left_out/a": 1, "with_field/a": 1, "with_field/b": 1}  # fmt: skip
    said = capsys.readouterr().err
    assert "ingest: 1 pages have more than 65,536 bytes in the field 'a'; there it is left out" in said
    assert "ingest: no page has the field 'c' of ingest.fields.keep" in said
    assert "'b'" not in said


def test_documents_of_a_run_whose_column_is_no_object(tmp_path: Path) -> None:
    """Another's file that has all our columns."""
    row = dict.fromkeys(DOCUMENTS_WITH_KEPT.names) | {"text": "words", "metadata": "no JSON", "source": "s"}
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row], schema=DOCUMENTS_WITH_KEPT), out)
    (capture,) = found_in_rows(io.BytesIO(out.getvalue()), FieldNames(keep=("source", "dump")), 99)
    assert isinstance(capture, Capture)
    assert capture.kept.text == '{"source":"s"}'


def test_they_are_told_of(tmp_path: Path) -> None:
    run = str(made(tmp_path / "run", parquet(tmp_path / "in"), fields=KEEP))
    documents = rows(tmp_path / "run", "documents")
    told = list(explain.lines(run, documents[0]["url"]))
    assert f'field      dump = "{json.loads(documents[0]["metadata"])["dump"]}"' in told
    groups = stats.grouped(run, "dump").to_pylist()
    assert sorted(group["key"] for group in groups) == ["CC-0", "CC-1", "CC-2"]
    assert sum(group["documents"] for group in groups) == len(documents)
    assert {group["key"] for group in stats.grouped(run, "token_count").to_pylist()} >= {"1", "2"}
    with pytest.raises(SettingError, match=r"no document of .* has a field of this name"):
        stats.grouped(run, "dmup")
    with pytest.raises(SettingError, match=r"--by is 'dump'; allowed are host, domain, .* has none"):
        stats.grouped(str(made(tmp_path / "plain", tmp_path / "in")), "dump")
