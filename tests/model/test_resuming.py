"""The order of samples through any history of stops, ranks, batch sizes and mixtures, beside a slow reading of it."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.batches import Batches
from model.order import SampleOrder
from pipeline.pack.shards import ShardSet
from tests.pack.shard_maker import documents_of, spec_of, write_shards

Rows = list[tuple[str, tuple[int, ...]]]
Weights = Mapping[str, float] | None
# No source has as many rows as the largest step takes, and one has a single row.
SIZES = {"web": [20, 31, 5] * 20, "books": [15] * 9, "one": [3]}
MIXTURES: list[Weights] = [None, {"web": 1, "one": 1}, {"web": 0.7, "books": 0.1, "one": 0.0}, {"books": 1 / 3}]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> str:
    spec = spec_of(32)
    parts = [documents_of(lengths, source=source, spec=spec) for source, lengths in SIZES.items()]
    return write_shards(tmp_path_factory.mktemp("run"), {"train": parts}, spec)


def rows_of(order: SampleOrder, rows: ShardSet, first: int, count: int) -> Rows:
    """Samples `first` … by the order alone, one at a time."""
    found = []
    for sample in range(first, first + count):
        source, row = order.at(np.array([sample], dtype=np.int64))
        name = order.sources[int(source[0])]
        found.append((name, rows.row(name, int(row[0])).tokens))
    return found


steps = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3, 4, 8, 16]),  # ranks
        st.integers(1, 12),  # rows a rank
        st.integers(1, 3),  # steps before the next stop
        st.sampled_from([None, *range(len(MIXTURES))]),  # another mixture first, or the old one
    ),
    min_size=1,
    max_size=5,
)


@given(history=steps, first=st.sampled_from([0, 1, 999, 10**12]))
@settings(max_examples=10, deadline=None)
def test_any_history_gives_the_samples_in_their_order(
    shards: str, history: list[tuple[int, int, int, int | None]], first: int
) -> None:
    rows = ShardSet.open(shards)
    order = SampleOrder({source: rows.num_rows(source) for source in rows.sources})
    state = Batches(shards, batch_rows=1, prefetch=0).state_dict() | {"samples": first}
    sample = first
    for world_size, batch_rows, num_steps, mixture in history:
        ranks = [
            Batches(shards, batch_rows=batch_rows, rank=rank, world_size=world_size, prefetch=0)
            for rank in range(world_size)
        ]
        for batches in ranks:
            batches.load_state_dict(json.loads(json.dumps(state)))
            if mixture is not None:
                batches.reweigh(MIXTURES[mixture])
        if mixture is not None:
            order.reweigh(sample, MIXTURES[mixture])
        given_out: Rows = []
        for _ in range(num_steps):
            for batches in ranks:
                batch = batches.next_batch()
                assert batch is not None
                given_out += zip(batch.sources, map(tuple, batch.tokens.tolist()), strict=True)
        assert given_out == rows_of(order, rows, sample, len(given_out))
        sample += len(given_out)
        (state,) = {json.dumps(batches.state_dict()): batches.state_dict() for batches in ranks}.values()
        assert state["samples"] == sample
    rows.close()


def test_the_thread_gives_what_is_given_without_it(shards: str) -> None:
    """Over many more rows than are planned at once, with sizes and mixtures that change under way."""
    with_thread, without = (Batches(shards, batch_rows=3, prefetch=prefetch) for prefetch in (4, 0))
    for step in range(1500):
        size = {200: 7, 210: 1, 700: 40, 760: 3}.get(step)
        if step in (300, 301, 900):
            for batches in (with_thread, without):
                batches.reweigh(MIXTURES[step % len(MIXTURES)])
        ours, theirs = with_thread.next_batch(size), without.next_batch(size)
        assert ours is not None
        assert theirs is not None
        assert ours.tokens.tolist() == theirs.tokens.tolist(), step
    with_thread.close()


def test_the_state_is_a_few_numbers_whatever_the_place(shards: str) -> None:
    batches = Batches(shards, batch_rows=3, prefetch=0)
    sizes = []
    for place in (0, 10**6, 10**12):
        batches.samples = place
        sizes.append(len(json.dumps(batches.state_dict())))
    assert max(sizes) - min(sizes) < 20
    assert max(sizes) < 400


@pytest.mark.parametrize("weights", MIXTURES)
def test_every_prefix_of_a_run_has_its_shares(shards: str, weights: Weights) -> None:
    """Each source within one sample a level of the tree (two here) of its share, after every sample."""
    batches = Batches(shards, batch_rows=7, weights=weights, prefetch=0)
    wanted = dict(weights or {source: batches.rows.num_rows(source) for source in batches.rows.sources})
    total = sum(wanted.values())
    drawn: dict[str, int] = dict.fromkeys(SIZES, 0)
    for sample in range(1, 7 * 60 + 1):
        if sample % 7 == 1:
            batch = batches.next_batch()
            assert batch is not None
        drawn[batch.sources[(sample - 1) % 7]] += 1
        for source in SIZES:
            assert abs(drawn[source] - sample * wanted.get(source, 0) / total) <= 2
            if not wanted.get(source, 0):
                assert not drawn[source]


def test_a_batch_takes_a_small_source_several_times_over(shards: str, tmp_path: Path) -> None:
    """A batch of 64 rows from a source of one: each epoch of it is that row."""
    batch = Batches(shards, batch_rows=64, weights={"one": 1}, prefetch=0).next_batch()
    assert batch is not None
    assert batch.sources == ("one",) * 64
    assert len({tuple(row) for row in batch.tokens.tolist()}) == 1
