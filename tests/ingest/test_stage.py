"""The whole way in: files → index → pages again. Conservation, determinism, damage, resumption."""

import gzip
import json
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.engine import Engine
from jobs.ingest import ingest_run
from pipeline import storage
from pipeline.errors import CorpusmillError, InputError
from pipeline.ingest import stage
from pipeline.ingest.config import FieldNames, IngestConfig
from pipeline.ingest.payloads import index_schema, read_pages
from pipeline.manifests import Manifest, dataset_files, read_manifest
from pipeline.places import join
from pipeline.records import Page, Rejection, page_id, payload_digest
from pipeline.tables import PAGES, TableWriter, read_rows
from tests.ingest.archives import COMPRESSORS, archive, crawl, html, http, record, response


def pages_of(run: str) -> list[Page | Rejection]:
    return [page for path in dataset_files(join(run, "pages")) for page in read_pages(path, run)]


def rejections_of(run: str) -> list[dict[str, Any]]:
    return [row for path in dataset_files(join(run, "rejected/pages")) for row in read_rows(path)]


def closed(manifest: Manifest, run: str) -> bool:
    """Whether the ledger of the step is closed, in its counts and in its files."""
    counts = manifest.counts
    by_reason = sum(value for name, value in counts.items() if name.startswith("rejected/pages/"))
    assert counts["read"] == counts["kept"] + counts["rejected"]
    assert (
        counts["rejected"] == by_reason == len(rejections_of(run)) == read_manifest(f"{run}/rejected/pages").num_records
    )
    return counts["kept"] == manifest.num_records == len(pages_of(run))


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """One file of each kind, some compressed, with what each can go wrong with."""
    folder = tmp_path / "in"
    folder.mkdir()
    compressed = record("response", "http://x/gz", http(gzip.compress(html(77)), Content_Encoding="gzip"))
    missing = record("response", "http://x/missing", http(b"", status="404 Not Found"))
    (folder / "a.warc.gz").write_bytes(archive([*crawl(range(20)), compressed, missing]))
    (folder / "b.warc").write_bytes(archive(crawl(range(20, 25)), ""))
    (folder / "c.warc.gz").write_bytes(archive([b"".join(crawl(range(25, 30)))]))
    (folder / "d.warc.zst").write_bytes(archive(crawl(range(30, 33)), "zstd"))
    (folder / "e.warc.lz4").write_bytes(archive(crawl(range(33, 36)), "lz4"))
    wet = record("conversion", "http://x/wet", b"Converted words.", Content_Type="text/plain")
    (folder / "f.wet.gz").write_bytes(archive([wet]))
    rows = [{"id": number, "text": f"Text {number}.", "title": f"T{number}"} for number in range(10)]
    lines = (
        "".join(json.dumps(row) + "\n" for row in rows)
        + "broken\n"
        + json.dumps({"html": "<p>x", "url": "HTTP://X/#y"})
    )
    for compression, ending in (("", ""), ("gzip", ".gz"), ("zstd", ".zst"), ("bz2", ".bz2"), ("xz", ".xz")):
        (folder / f"g{compression}.jsonl{ending}").write_bytes(COMPRESSORS[compression](lines.encode()))
    pq.write_table(pa.Table.from_pylist(rows), folder / "h.parquet", row_group_size=3)
    (folder / "sub").mkdir()
    (folder / "sub/i.html").write_bytes(html(99))
    (folder / "sub/j.txt.gz").write_bytes(gzip.compress(b"Plain words."))
    return folder


def test_every_page_of_every_format_comes_back(inputs: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    manifest = ingest_run(run, IngestConfig(inputs=(str(inputs),)), Engine())
    assert closed(manifest, run)
    pages = pages_of(run)
    assert not [page for page in pages if isinstance(page, Rejection)]
    held = {page.url: page for page in pages if isinstance(page, Page)}
    for number in range(36):
        assert held[f"http://example.com/{number}"].payload == html(number)
    assert held["http://x/gz"].payload == html(77)
    assert (held["http://x/wet"].payload, held["http://x/wet"].media_type) == (b"Converted words.", "text/plain")
    assert held["urn:corpusmill:ingest:sub/i.html"].payload == html(99)
    assert held["urn:corpusmill:ingest:sub/j.txt.gz"].payload == b"Plain words."
    assert held["urn:corpusmill:ingest:3"].metadata == {"title": "T3"}
    assert held["http://x/"].media_type == "text/html"  # the address in its canonical form
    for page in held.values():
        assert page.id == page_id(page.url, page.payload)
        assert page.source == "ingest"
    expected = {
        "rejected/pages/malformed": 5,
        "rejected/pages/http_status": 1,
        "records/request": 36,
        "records/warcinfo": 5,
        "files": 14,
    }
    assert {name: manifest.counts[name] for name in expected} == expected
    assert manifest.counts["kept"] == 36 + 1 + 1 + 5 * 11 + 10 + 2


def test_rejections_name_file_and_position(inputs: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    ingest_run(run, IngestConfig(inputs=(str(inputs / "g.jsonl"), str(inputs / "a.warc.gz"))), Engine())
    by_reason = {row["reason"]: row for row in rejections_of(run)}
    offset = (inputs / "g.jsonl").read_bytes().index(b"broken")
    assert by_reason["malformed"]["detail"].startswith(f"{inputs}/g.jsonl @ {offset}: not a JSON object")
    assert (by_reason["http_status"]["url"], by_reason["http_status"]["value"]) == ("http://x/missing", 404.0)
    assert {row["stage"] for row in by_reason.values()} == {"pages"}


def files_below(folder: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()
    }


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_second_run_with_any_number_of_workers_gives_the_same_bytes(
    inputs: Path, tmp_path: Path, workers: int
) -> None:
    config = IngestConfig(inputs=(str(inputs),), split_bytes=1500, group_bytes=2000)
    ingest_run(str(tmp_path / "first"), config, Engine())
    ingest_run(str(tmp_path / "second"), config, Engine(workers=workers))
    assert files_below(str(tmp_path / "first")) == files_below(str(tmp_path / "second"))


def test_sharing_out_differently_gives_the_same_pages(inputs: Path, tmp_path: Path) -> None:
    seen = []
    for name, config in (
        ("whole", IngestConfig(inputs=(str(inputs),))),
        ("parts", IngestConfig(inputs=(str(inputs),), split_bytes=700, group_files=1)),
    ):
        run = str(tmp_path / name)
        assert closed(ingest_run(run, config, Engine()), run)
        seen.append((Counter(page.id for page in pages_of(run)), Counter(row["id"] for row in rejections_of(run))))
    assert seen[0] == seen[1]


def test_what_is_up_to_date_is_not_done_again(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, config = str(tmp_path / "run"), IngestConfig(inputs=(str(inputs),))
    first = ingest_run(run, config, Engine())
    monkeypatch.setattr(stage.IndexShard, "process", None)  # would fail
    assert ingest_run(run, config, Engine()) == first
    monkeypatch.undo()
    (inputs / "new.txt").write_text("New words.")
    assert ingest_run(run, config, Engine()).counts["kept"] == first.counts["kept"] + 1
    assert ingest_run(run, config, Engine(), force=True).counts["kept"] == first.counts["kept"] + 1


def test_broken_files_fail_the_job_last_and_the_next_attempt_is_cheap(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (inputs / "a.warc.gz").read_bytes()
    (inputs / "a.warc.gz").write_bytes(whole[:-100])
    run, config = str(tmp_path / "run"), IngestConfig(inputs=(str(inputs),))
    with pytest.raises(InputError) as caught:
        ingest_run(run, config, Engine())
    assert str(caught.value).startswith(f"broken input at {inputs}/a.warc.gz @ ")
    assert str(caught.value).endswith("set ingest.max_unreadable_files = 1 or more")
    assert not storage.exists(f"{run}/pages/manifest.json")
    monkeypatch.setattr(stage.IndexShard, "process", None)  # would fail: everything has been read
    lenient = IngestConfig(inputs=(str(inputs),), max_unreadable_files=1)
    manifest = ingest_run(run, lenient, Engine())
    assert manifest.counts["rejected/pages/truncated_file"] == 1
    assert closed(manifest, run)
    with pytest.raises(InputError, match="broken input at"):  # the limit holds for what is up to date, too
        ingest_run(run, config, Engine())


def test_a_file_that_may_be_read_again_is_read_by_the_same_command(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may read a file shows neither in its size nor in its time."""
    run, config = str(tmp_path / "run"), IngestConfig(inputs=(str(inputs),))
    expected = ingest_run(str(tmp_path / "other"), config, Engine())
    with monkeypatch.context() as patch:
        patch.setattr(storage, "open_read", refusing("b.warc", InputError("Permission denied")))
        with pytest.raises(InputError, match="Permission denied; to go on without"):
            ingest_run(run, config, Engine())
    assert ingest_run(run, config, Engine()).content == expected.content


def test_a_limit_on_open_files_makes_no_file_broken(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = IngestConfig(inputs=(str(inputs),), max_unreadable_files=9)
    monkeypatch.setattr(storage, "open_read", refusing("b.warc", OSError(24, "Too many open files")))
    with pytest.raises(CorpusmillError, match=r"Too many open files; the limit on open files is too low"):
        ingest_run(str(tmp_path / "run"), config, Engine())


def refusing(name: str, error: Exception) -> Callable[[str], Any]:
    """`storage.open_read`, but for the file `name`."""
    real = storage.open_read

    def opened(path: str) -> Any:
        if path.endswith(name):
            raise error
        return real(path)

    return opened


def test_a_file_that_may_not_be_read_is_one_rejection(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = storage.open_read

    def refusing(path: str) -> Any:
        if path.endswith("b.warc"):
            raise InputError(f"cannot read {path}: Permission denied")
        return real(path)

    monkeypatch.setattr(storage, "open_read", refusing)
    run = str(tmp_path / "run")
    manifest = ingest_run(run, IngestConfig(inputs=(f"{inputs}/*.warc",), max_unreadable_files=1), Engine())
    assert manifest.counts["rejected/pages/unreadable_file"] == 1
    assert closed(manifest, run)


def test_pages_that_have_changed_are_rejected(inputs: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    ingest_run(run, IngestConfig(inputs=(str(inputs),)), Engine())
    data = (inputs / "b.warc").read_bytes()
    (inputs / "b.warc").write_bytes(data.replace(b"Page 22.", b"Page XX."))  # same length
    (inputs / "a.warc.gz").write_bytes(b"something else altogether")
    (inputs / "g.jsonl").write_bytes(b"")
    (inputs / "h.parquet").write_bytes(b"PAR1")
    changed = [page for page in pages_of(run) if isinstance(page, Rejection)]
    assert {(page.stage, page.reason) for page in changed} == {("pages", "payload_changed")}
    assert len(changed) == 1 + 21 + 11 + 10


def test_a_file_that_is_gone_is_named(inputs: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    ingest_run(run, IngestConfig(inputs=(str(inputs / "b.warc"),)), Engine())
    os.unlink(inputs / "b.warc")
    with pytest.raises(InputError, match=r"no such file: .*b\.warc"):
        pages_of(run)


def test_an_index_in_any_order_is_read_by_seeking(tmp_path: Path) -> None:
    """As crawls write it: sorted by id, over more archives than are kept open, with paths relative to the run."""
    run, rows = str(tmp_path), []
    os.makedirs(f"{run}/pages/round-0000")
    for part in range(12):
        members = [COMPRESSORS["gzip"](response(part * 10 + number)) for number in range(10)]
        name = f"pages/round-0000/{part}.warc.gz"
        (tmp_path / name).write_bytes(b"".join(members))
        position = 0
        for number, member in enumerate(members):
            payload, url = html(part * 10 + number), f"http://example.com/{part * 10 + number}"
            row = dict.fromkeys(PAGES.names, "") | {
                "id": page_id(url, payload),
                "url": url,
                "digest": payload_digest(payload),
            }
            rows.append(
                row | {"kind": "warc", "file": name, "position": position, "length": 0, "media_type": "text/html"}
            )
            position += len(member)
    rows.sort(key=lambda row: row["id"])
    with TableWriter(f"{run}/pages/part-0.parquet", PAGES) as table:
        for row in rows:
            table.append(row)
    pages = list(read_pages(f"{run}/pages/part-0.parquet", run))
    assert [page.id for page in pages] == [row["id"] for row in rows]
    assert all(isinstance(page, Page) for page in pages)


def test_an_index_out_of_order_works_for_passing_readers_too(inputs: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    ingest_run(run, IngestConfig(inputs=(str(inputs),), fields=FieldNames(id="")), Engine())
    (part,) = dataset_files(f"{run}/pages")
    rows = list(read_rows(part))
    random.Random(1).shuffle(rows)
    with TableWriter(f"{run}/shuffled.parquet", index_schema(FieldNames(id=""))) as table:
        for row in rows:
            table.append(row)
    pages = list(read_pages(f"{run}/shuffled.parquet", run))
    assert Counter(type(page) for page in pages) == {Page: len(rows)}


def test_object_stores_work_throughout(inputs: Path) -> None:
    store = fsspec.filesystem("memory")
    store.put(str(inputs), "/ingest-test/in", recursive=True)
    run = "memory://ingest-test/run"
    manifest = ingest_run(run, IngestConfig(inputs=("memory://ingest-test/in",), split_bytes=2000), Engine())
    assert manifest.counts["kept"] == 105
    assert Counter(type(page) for page in pages_of(run)) == {Page: 105}


def test_the_content_of_the_index_does_not_hang_on_where_the_files_lie(inputs: Path, tmp_path: Path) -> None:
    os.makedirs(tmp_path / "elsewhere")
    os.rename(inputs, tmp_path / "elsewhere/moved")
    first = ingest_run(str(tmp_path / "1"), IngestConfig(inputs=(str(tmp_path / "elsewhere/moved"),)), Engine())
    os.rename(tmp_path / "elsewhere/moved", inputs)
    second = ingest_run(str(tmp_path / "2"), IngestConfig(inputs=(str(inputs),)), Engine())
    assert first.content == second.content != ""
    assert first.files != second.files


def test_all_archives_of_others_go_through(shared_data: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    config = IngestConfig(inputs=(f"{shared_data}/warc/*arc*",), max_unreadable_files=10)
    manifest = ingest_run(run, config, Engine())
    assert closed(manifest, run)
    assert manifest.counts["files"] > 80
    assert manifest.counts["kept"] > 500
    assert 0 < manifest.counts["broken_files"] <= 10
    assert not [page for page in pages_of(run) if isinstance(page, Rejection)]


def test_files_that_are_passed_over_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_text('{"text": "words"}\n')
    for name in ("b.cdx", "c.cdx"):
        (tmp_path / "in" / name).write_text("a,b\n")
    ingest_run(str(tmp_path / "run"), IngestConfig(inputs=(str(tmp_path / "in"),)), Engine())
    said = capsys.readouterr()
    example = f"passed over 2 files in folders that show no format it reads, for example {tmp_path}/in/b.cdx"
    assert example in said.out + said.err
