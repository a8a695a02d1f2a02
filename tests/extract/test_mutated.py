"""Damaged real pages: each leaves exactly once, and the worker lives on. `benchmarks.mutated_pages` takes 100,000."""

import random
from pathlib import Path

import pytest

from benchmarks.mutated_pages import MUTATIONS, mutated, read_payloads, run
from pipeline.extract.config import ExtractConfig

PAGE = b"<html><head><title>t</title></head><body><p>One page, with text enough. </p></body></html>" * 30


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_each_mutation_damages_the_same_way_each_time(mutation: object) -> None:
    damaged = [mutation(PAGE, random.Random(7)) for _ in range(2)]  # type: ignore[operator]
    assert damaged[0] == damaged[1] != PAGE


def test_pages_are_the_same_for_the_same_seed() -> None:
    assert list(mutated([PAGE], range(20), 1)) == list(mutated([PAGE], range(20), 1))
    assert list(mutated([PAGE], range(20), 1)) != list(mutated([PAGE], range(20), 2))


def test_some_damaged_pages() -> None:
    counts = run([PAGE], range(30), 0, ExtractConfig())
    assert counts["pages"] == 30 == counts["documents"] + counts["rejections"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "num_pages"), [("blocks", 1000), ("resiliparse", 150), ("trafilatura", 150), ("justext", 150)]
)
def test_many_damaged_real_pages(shared_data: Path, engine: str, num_pages: int) -> None:
    config = ExtractConfig(engine=engine)  # type: ignore[arg-type]
    counts = run(read_payloads(shared_data / "html"), range(num_pages), 1, config)
    assert counts["pages"] == num_pages == counts["documents"] + counts["rejections"]
    assert counts["documents"] > num_pages / 2
