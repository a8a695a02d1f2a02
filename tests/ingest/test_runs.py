"""A run as an input of another run: a person points at it, and gets its pages or its documents."""

import json
import shutil
from pathlib import Path
from typing import Any

import fsspec
import pytest

from jobs import curate
from jobs.config import RunConfig, RunSettings
from jobs.engine import Engine
from jobs.ingest import ingest_run
from pipeline.crawl.config import ScopeConfig
from pipeline.errors import InputError
from pipeline.filter.config import FilterConfig
from pipeline.ingest.config import FieldNames, IngestConfig
from pipeline.ingest.inputs import list_inputs
from pipeline.ingest.payloads import read_pages
from pipeline.manifests import dataset_files, read_manifest
from pipeline.records import Page
from pipeline.tables import read_rows
from tests.crawl.crawling import config_for, crawled
from tests.ingest.archives import archive, crawl, html
from tests.site.server import serving
from tests.site.tree import TreeSite

KEYS = ("id", "url", "digest", "media_type", "charset")


def ingested(run: Path | str, *inputs: Path | str, **settings: Any) -> str:
    ingest_run(str(run), IngestConfig(inputs=tuple(map(str, inputs)), **settings), Engine())
    return str(run)


def index_of(run: str) -> list[tuple[str, ...]]:
    paths = [path for path in dataset_files(f"{run}/pages") if path.rpartition("/")[2].startswith("part-")]
    return sorted(tuple(row[key] for key in KEYS) for path in paths for row in read_rows(path))


def payloads_of(run: str) -> dict[str, bytes]:
    pages = [page for path in dataset_files(f"{run}/pages") if "part-" in path for page in read_pages(path, run)]
    assert all(isinstance(page, Page) for page in pages)
    return {page.id: page.payload for page in pages if isinstance(page, Page)}


@pytest.fixture
def crawled_run(tmp_path: Path) -> str:
    """A crawl in two rounds at least, with a robots.txt, answers that are no pages, and a ledger."""
    hosts = ("127.0.0.1", "127.0.0.2")
    site = TreeSite(hosts, 8)
    with serving(site.answer, hosts) as server:
        seeds = [server.url("/"), server.url("/no-such-page")]
        crawled(tmp_path / "crawl", config_for(server, seeds, scope=ScopeConfig(within="any"), ports=(server.port,)))
    return str(tmp_path / "crawl")


@pytest.mark.parametrize("place", ["", "/", "/pages", "/pages/"])
def test_the_pages_of_a_crawl(crawled_run: str, tmp_path: Path, place: str) -> None:
    run = ingested(tmp_path / "second", crawled_run + place)
    manifest = read_manifest(f"{run}/pages")
    assert manifest.counts["kept"] == manifest.counts["read"] == read_manifest(f"{crawled_run}/pages").counts["kept"]
    assert index_of(run) == index_of(crawled_run)  # the same pages under the same ids
    assert payloads_of(run) == payloads_of(crawled_run)


def test_the_pages_of_an_ingest_of_every_format(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.warc.gz").write_bytes(archive(crawl(range(5))))
    lines = [json.dumps({"id": f"k {number}", "text": f"Text number {number}.", "title": "T"}) for number in range(5)]
    (source / "b.jsonl").write_text("\n".join([*lines, "{broken"]))
    (source / "c.html").write_bytes(html(1))
    (source / "d.txt").write_text("One.\n\nTwo.\n")
    first = ingested(tmp_path / "first", source, text_unit="line")
    second = ingested(tmp_path / "second", first)
    third = ingested(tmp_path / "third", f"{second}/pages")
    assert len(index_of(first)) == 13
    assert index_of(first) == index_of(second) == index_of(third)
    assert payloads_of(third) == payloads_of(first)


def test_documents_and_filtered(crawled_run: str, tmp_path: Path) -> None:
    config = RunConfig(run=RunSettings(folder=crawled_run), filter=FilterConfig(sets=()))
    kept = curate.main(config, Engine()).num_records
    assert kept > 0
    for dataset in ("documents", "filtered"):
        counts = read_manifest(f"{ingested(tmp_path / dataset, f'{crawled_run}/{dataset}')}/pages").counts
        assert counts["kept"] == counts["read"] == read_manifest(f"{crawled_run}/{dataset}").num_records
    texts = {row["text"].encode() for path in dataset_files(f"{crawled_run}/documents") for row in read_rows(path)}
    assert set(payloads_of(str(tmp_path / "documents")).values()) == texts


def test_what_of_a_run_is_no_input_is_said(crawled_run: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is the dataset 'rejected/pages' of a run; ingest takes a run"):
        ingested(tmp_path / "x", f"{crawled_run}/rejected/pages")
    with pytest.raises(InputError, match="lies in this very run"):
        ingested(crawled_run, crawled_run)
    first = ingested(tmp_path / "first", f"{crawled_run}/pages")
    with pytest.raises(InputError, match=r"made with other \[ingest.fields\]"):
        ingested(tmp_path / "x", first, fields=FieldNames(text="body"))
    (Path(crawled_run) / "run.toml").write_text("")
    with pytest.raises(InputError, match=r"holds the run .*/crawl; name the run itself"):
        ingested(tmp_path / "x", tmp_path)
    (Path(crawled_run) / "pages/manifest.json").unlink()
    with pytest.raises(InputError, match="crawl/pages is not a complete dataset"):
        ingested(tmp_path / "x", crawled_run)


def test_a_manifest_of_another_tool_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_text('{"text": "Words."}\n')
    for content in ('{"version": 3, "files": ["a.jsonl"]}', "[]", "no JSON"):
        (tmp_path / "in/manifest.json").write_text(content)
        found = list_inputs(IngestConfig(inputs=(str(tmp_path / "in"),))).files
        assert [(file.name, file.kind) for file in found] == [("a.jsonl", "jsonl"), ("manifest.json", "jsonl")]


def test_pages_that_have_changed_since_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "One."}\n{"text": "Two."}\n')
    first = ingested(tmp_path / "first", tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_text('{"text": "One."}\n{"text": "2.00"}\n')
    counts = read_manifest(f"{ingested(tmp_path / 'second', first)}/pages").counts
    assert (counts["kept"], counts["rejected/pages/payload_changed"]) == (1, 1)
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(InputError, match=r"no such file: .*a\.jsonl"):
        ingested(tmp_path / "third", first)


def test_a_run_on_an_object_store(tmp_path: Path) -> None:
    (tmp_path / "a.warc.gz").write_bytes(archive(crawl(range(5))))
    first = ingested(tmp_path / "first", tmp_path / "a.warc.gz")
    files = fsspec.filesystem("memory")
    files.put(first, "/bucket/first", recursive=True)
    shutil.rmtree(first)
    second = ingested(tmp_path / "second", "memory://bucket/first")
    assert len(payloads_of(second)) == 5
    files.rm("/bucket", recursive=True)
