"""Extraction as a stage: the same documents from any division into shards, on any number of workers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutated_pages import mutated
from jobs.engine import Engine, run_step
from pipeline.extract.config import ExtractConfig
from pipeline.extract.stage import ExtractText
from pipeline.manifests import Manifest, dataset_files
from pipeline.places import join
from pipeline.records import Page
from pipeline.stage import JudgeEach
from pipeline.steps import Shard, Step
from pipeline.tables import read_rows

NUM_PAGES = 40
TEXT = (
    b"<html><head><title>t</title></head><body><p>This is a page with a text that is long enough. </p></body></html>"
    * 9
)


def read_pages(shard: Shard) -> Iterator[Page]:
    """Some of the damaged pages, by their numbers."""
    pages = [page for _, page in mutated([TEXT], range(NUM_PAGES), 5)]
    yield from (pages[number] for number in shard.work)


def extract(run: str, shards: list[Shard], engine: Engine) -> Manifest:
    step = Step(run=run, name="extract", outputs=("kept", "rejected"))
    judges = JudgeEach(step, read_pages, [ExtractText(ExtractConfig())], kept="kept", rejected="rejected")
    manifest = run_step(step, shards, lambda found: found | "Extract" >> judges, engine, label="extract")
    assert manifest is not None
    return manifest


def rows(run: str, dataset: str) -> list[dict[str, Any]]:
    found = [row for path in dataset_files(join(run, dataset)) for row in read_rows(path)]
    return sorted(found, key=lambda row: str(row["url"]))


def compare(folder: Path, engine: Engine) -> None:
    whole, divided = str(folder / "whole"), str(folder / "divided")
    one = extract(whole, [Shard(name="part-0", work=list(range(NUM_PAGES)))], Engine())
    turned = [Shard(name=f"part-{start}", work=list(range(start, NUM_PAGES, 3))[::-1]) for start in range(3)]
    many = extract(divided, turned, engine)
    assert one.counts == many.counts
    assert one.counts["read"] == NUM_PAGES == one.counts["kept"] + one.counts["rejected"]
    for dataset in ("kept", "rejected"):
        assert rows(whole, dataset) == rows(divided, dataset)


def test_any_division_gives_the_same_documents(tmp_path: Path) -> None:
    compare(tmp_path, Engine())


@pytest.mark.slow
def test_worker_processes_give_the_same_documents(tmp_path: Path) -> None:
    compare(tmp_path, Engine(workers=2))
