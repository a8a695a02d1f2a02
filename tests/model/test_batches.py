"""Batches: their tensors, the same order for any ranks and batch sizes, exact resume, refusals."""

import gc
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from model.batch import IGNORE, Batch
from model.batches import Batches
from pipeline.errors import DataError, InputError, SettingError
from pipeline.pack.shards import ShardSet
from tests.pack.shard_maker import documents_of, spec_of, write_shards

LENGTH = 32


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> str:
    spec = spec_of(LENGTH)
    parts = [
        documents_of([5, 70, 20, 33, 3] * 40, source="web", spec=spec),
        documents_of([11, 100] * 30, source="books", spec=spec) + documents_of([8] * 90, source="code", spec=spec),
    ]
    heldout = [documents_of([9, 40, 12] * 7, source="web", spec=spec)]
    return write_shards(tmp_path_factory.mktemp("run"), {"train": parts, "heldout": heldout}, spec)


def rows_of(batches: list[Batch | None]) -> list[list[int]]:
    return [row for batch in batches if batch is not None for row in batch.tokens.tolist()]


def test_tensors_of_a_batch_say_what_the_rows_say(shards: str) -> None:
    rows = ShardSet.open(shards, "heldout")
    (batch,) = Batches.once(shards, batch_rows=1000)
    assert batch.tokens.dtype == torch.int64
    assert batch.tokens.shape == (rows.num_rows(), LENGTH + 1)
    assert batch.cu_seqlens.dtype == torch.int32
    assert batch.cu_seqlens[0] == 0
    assert batch.cu_seqlens[-1] == rows.num_rows() * LENGTH
    for number in range(rows.num_rows()):
        row = rows.row("web", number)
        borders = {0, LENGTH, *row.starts, *row.ends}
        mine = batch.cu_seqlens[(batch.cu_seqlens >= number * LENGTH) & (batch.cu_seqlens <= (number + 1) * LENGTH)]
        assert (mine - number * LENGTH).tolist() == sorted(borders)
        documents = {p for start, end in zip(row.starts, row.ends, strict=True) for p in range(start, end)}
        segments = [sum(border <= p for border in sorted(borders)) - 1 for p in range(LENGTH)]
        assert batch.inputs[number].tolist() == list(row.tokens[:-1])
        assert batch.loss_mask[number].tolist() == [p in documents for p in range(LENGTH)]
        assert batch.labels[number].tolist() == [row.tokens[p + 1] if p in documents else IGNORE for p in range(LENGTH)]
        assert batch.segment_ids[number].tolist() == segments
        assert batch.position_ids[number].tolist() == [segments[:p].count(segments[p]) for p in range(LENGTH)]
    assert batch.num_labels == int(batch.loss_mask.sum()) == rows.counts.get("heldout/labels", batch.num_labels)
    assert batch.max_seqlen == int(batch.cu_seqlens.diff().max())
    assert batch.sources == ("web",) * rows.num_rows()


def test_labels_of_the_heldout_split_are_every_token_and_an_end_for_each_document(shards: str) -> None:
    assert sum(batch.num_labels for batch in Batches.once(shards, batch_rows=4)) == 7 * (9 + 40 + 12 + 3)


def test_once_gives_every_row_in_order_and_ends(shards: str) -> None:
    batches = Batches.once(shards, "train", batch_rows=7)
    assert len(rows_of(list(batches))) == batches.num_rows
    assert batches.next_batch() is None
    assert batches.next_batch() is None


@pytest.mark.parametrize("workers", [None, 0, 2])  # None: without a DataLoader
def test_every_pass_over_a_loader_gives_the_whole(shards: str, workers: int | None) -> None:
    batches = Batches(shards, batch_rows=7, epochs=1, drop_last=False)
    options: dict[str, Any] = {"num_workers": workers or 0, "persistent_workers": bool(workers)}
    loader = batches if workers is None else DataLoader(batches, batch_size=None, **options)
    first = rows_of(list(loader))
    assert len(first) == batches.num_rows
    assert rows_of(list(loader)) == first
    assert rows_of(list(loader)) == first


def test_a_state_at_the_end_stays_at_the_end(shards: str) -> None:
    done = Batches(shards, batch_rows=7, epochs=1)
    list(done)
    resumed = Batches(shards, batch_rows=7, epochs=1)
    resumed.load_state_dict(done.state_dict())
    assert list(resumed) == []


def test_ranks_without_rows_in_the_last_step_have_the_state_of_the_others(shards: str) -> None:
    for world_size in (2, 3, 5):
        ranks = [
            Batches(shards, batch_rows=7, rank=rank, world_size=world_size, epochs=1, drop_last=False)
            for rank in range(world_size)
        ]
        assert sum(len(rows_of(list(each))) for each in ranks) == ranks[0].num_rows
        assert [each.next_batch() for each in ranks] == [None] * world_size
        assert all(each.state_dict() == ranks[0].state_dict() for each in ranks)


def test_a_split_without_rows(tmp_path: Path) -> None:
    empty = write_shards(tmp_path, {"train": [[]]}, spec_of(LENGTH))
    assert list(Batches.once(empty, "train", batch_rows=2)) == []
    with pytest.raises(DataError, match=r"the split 'train' of the shards in .* has no rows"):
        Batches(empty, batch_rows=2)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("first_step", [0, 17, 288, 10**11])
def test_any_number_of_ranks_sees_the_same_samples_in_the_same_order(
    shards: str, world_size: int, first_step: int
) -> None:
    """One rank with 48 rows a step is the reference; the others share those 48."""
    weights = {"web": 0.5, "books": 0.3, "code": 0.2}
    reference = Batches(shards, batch_rows=48, weights=weights, prefetch=0)
    reference.samples = first_step * 48
    expected = rows_of([reference.next_batch() for _ in range(3)])
    ranks = [
        Batches(shards, batch_rows=48 // world_size, weights=weights, rank=rank, world_size=world_size, prefetch=0)
        for rank in range(world_size)
    ]
    for batches in ranks:
        batches.samples = first_step * 48
    assert rows_of([batches.next_batch() for _ in range(3) for batches in ranks]) == expected


@pytest.mark.parametrize("prefetch", [0, 2])
def test_resume_in_mid_epoch_with_other_ranks_and_batch_sizes(shards: str, prefetch: int) -> None:
    one = Batches(shards, batch_rows=12, prefetch=prefetch)
    for _ in range(5):
        one.next_batch()
    state = one.state_dict()
    expected = rows_of([one.next_batch() for _ in range(4)])
    ranks = [Batches(shards, batch_rows=2, rank=rank, world_size=4, prefetch=prefetch) for rank in range(4)]
    for batches in ranks:
        batches.next_batch()
        batches.load_state_dict(state)
    assert rows_of([batches.next_batch() for _ in range(6) for batches in ranks]) == expected
    assert ranks[0].state_dict() == one.state_dict()
    for batches in (one, *ranks):
        batches.close()


def test_the_state_is_of_batches_given_out_not_of_those_made_ahead(shards: str) -> None:
    batches = Batches(shards, batch_rows=4, prefetch=5)
    batches.next_batch()
    time.sleep(0)
    assert batches.state_dict()["samples"] == 4
    batches.close()


def test_the_batch_size_may_change_at_any_step(shards: str) -> None:
    one = Batches(shards, batch_rows=30, prefetch=0)
    expected = rows_of([one.next_batch()])
    grown = Batches(shards, batch_rows=2)
    assert rows_of([grown.next_batch(size) for size in (2, 4, None, 20)]) == expected
    grown.close()


def test_the_mixture_may_change_in_mid_run_and_resumes(shards: str) -> None:
    batches = Batches(shards, batch_rows=10, weights={"web": 1, "books": 1})
    first = [source for _ in range(4) for source in batches.next_batch().sources]  # type: ignore[union-attr]
    batches.reweigh({"code": 1, "web": 4})
    second = [source for _ in range(2) for source in batches.next_batch().sources]  # type: ignore[union-attr]
    assert (first.count("web"), first.count("books")) == (20, 20)
    assert (second.count("web"), second.count("code")) == (16, 4)
    state = batches.state_dict()
    other = Batches(shards, batch_rows=10)
    other.load_state_dict(state)
    assert rows_of([other.next_batch()]) == rows_of([batches.next_batch()])
    batches.close()
    other.close()


def test_epochs_end_and_drop_what_does_not_fill_a_step(shards: str) -> None:
    batches = Batches(shards, batch_rows=16, epochs=2, prefetch=0)
    assert len(rows_of(list(batches))) == 2 * batches.num_rows // 16 * 16


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_workers_take_turns(shards: str, num_workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one process: each worker sees itself as DataLoader would show it."""
    expected = rows_of(list(Batches(shards, batch_rows=16, epochs=1, prefetch=0)))
    turns = []
    for worker in range(num_workers):
        info = SimpleNamespace(id=worker, num_workers=num_workers)
        monkeypatch.setattr("model.batches.get_worker_info", lambda info=info: info)
        turns.append(list(Batches(shards, batch_rows=16, epochs=1)))
    assert rows_of([batch for step in zip_longest(*turns) for batch in step]) == expected


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_worker_processes_take_turns(shards: str, method: str) -> None:
    expected = rows_of(list(Batches(shards, batch_rows=16, epochs=1, prefetch=0)))
    batches = Batches(shards, batch_rows=16, epochs=1)
    first = batches.next_batch()  # the thread that makes batches ahead must not matter to a forked worker
    loader = DataLoader(batches, batch_size=None, num_workers=3, multiprocessing_context=method)
    assert rows_of([first, *loader]) == expected
    batches.close()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stateful_data_loader_resumes(shards: str, num_workers: int) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")
    context = "fork" if num_workers else None

    def loader() -> Any:
        batches = Batches(shards, batch_rows=8, epochs=1, prefetch=0)
        return stateful.StatefulDataLoader(
            batches, batch_size=None, num_workers=num_workers, multiprocessing_context=context
        )

    first = loader()
    iterator = iter(first)
    for _ in range(5):
        next(iterator)
    state = first.state_dict()
    expected = rows_of(list(iterator))
    second = loader()
    second.load_state_dict(state)
    assert rows_of(list(second)) == expected


def test_pickled_batches_go_on_where_they_were(shards: str) -> None:
    batches = Batches(shards, batch_rows=4)
    batches.next_batch()
    copy = pickle.loads(pickle.dumps(batches))
    assert rows_of([copy.next_batch()]) == rows_of([batches.next_batch()])
    batches.close()
    copy.close()


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        ({"expect_tokenizer": "cd" * 32}, DataError, "made with the tokenizer abababababab…, not with cdcdcdcdcdcd…"),
        ({"expect_sequence_length": 64}, DataError, "rows of 32 positions, not 64"),
        ({"split": "test"}, InputError, "no split 'test'"),
        ({"batch_rows": 0}, SettingError, "batch_rows is 0"),
        ({"rank": 2, "world_size": 2}, SettingError, "rank is 2 of world_size 2"),
        ({"epochs": 0}, SettingError, "epochs is 0"),
        ({"weights": {"mail": 1}}, SettingError, "the source 'mail'"),
    ],
)
def test_refusals_say_why(shards: str, options: dict[str, object], kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        Batches(shards, **{"batch_rows": 2, **options})  # type: ignore[arg-type]


def test_a_state_of_other_shards_or_another_order_is_refused(shards: str, tmp_path: Path) -> None:
    spec = spec_of(LENGTH)
    other = write_shards(tmp_path, {"train": [documents_of([9] * 40, source="web", spec=spec)]}, spec)
    state = Batches(shards, batch_rows=2, prefetch=0).state_dict()
    with pytest.raises(DataError, match="trained on other shards"):
        Batches(other, batch_rows=2, prefetch=0).load_state_dict(state)
    with pytest.raises(DataError, match="trained with seed 0, this run sets 1"):
        Batches(shards, batch_rows=2, seed=1, prefetch=0).load_state_dict(state)
    with pytest.raises(DataError, match="not the state of a loader: it has no 'schedule'"):
        Batches(shards, batch_rows=2, prefetch=0).load_state_dict({n: state[n] for n in state if n != "schedule"})


def test_damage_found_by_the_thread_is_raised_to_the_reader(tmp_path: Path) -> None:
    spec = spec_of(LENGTH)
    folder = write_shards(tmp_path, {"train": [documents_of([30] * 500, source="web", spec=spec)]}, spec)
    path = Path(folder, "train/00000.arrow")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    batches = Batches(folder, batch_rows=64, epochs=1)
    with pytest.raises(DataError, match="is damaged"):
        list(batches)
    batches.close()


def test_the_first_batch_at_a_trillion_samples_comes_at_once(shards: str) -> None:
    begin = time.process_time()
    batches = Batches(shards, batch_rows=8, prefetch=0)
    batches.samples = 10**12
    assert batches.next_batch() is not None
    assert time.process_time() - begin < 0.25  # the benchmark measures; this catches a blunder


@pytest.mark.parametrize("prefetch", [0, 2])
def test_batches_are_pinned_where_there_is_a_gpu_on_the_device_of_who_asks(
    shards: str, prefetch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shown with a GPU that only takes notes; `python -m benchmarks.pinned` needs a real one."""
    devices: list[int] = []

    @contextmanager
    def on(device: int) -> Iterator[None]:
        devices.append(device)
        yield

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.Tensor, "pin_memory", torch.Tensor.clone)
    expected = Batches(shards, batch_rows=4, prefetch=0)
    batches = Batches(shards, batch_rows=4, prefetch=prefetch, pin_memory=True)
    for _ in range(3):
        ours, theirs = batches.next_batch(), expected.next_batch()
        assert ours is not None
        assert theirs is not None
        assert torch.equal(ours.tokens, theirs.tokens)
        assert torch.equal(ours.labels, theirs.labels)
    batches.close()
    assert len(devices) >= 3
    assert set(devices) == {3 if prefetch else -1}


def test_workers_of_a_data_loader_never_touch_the_gpu(shards: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: object) -> None:
        raise AssertionError("a worker used the GPU")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", touched)
    monkeypatch.setattr(torch.Tensor, "pin_memory", touched)
    monkeypatch.setattr("model.batches.get_worker_info", lambda: SimpleNamespace(id=0, num_workers=1))
    assert len(rows_of(list(Batches(shards, batch_rows=16, epochs=1, pin_memory=True)))) > 100


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows what happens without a GPU")
def test_without_a_gpu_pinning_changes_nothing(shards: str) -> None:
    batches = Batches(shards, batch_rows=4, pin_memory=True)
    batch = batches.next_batch()
    assert batch is not None
    assert not batch.tokens.is_pinned()
    assert torch.equal(batch.to("cpu", non_blocking=True).tokens, batch.tokens)
    batches.close()


def test_forgotten_batches_end_their_thread(shards: str) -> None:
    batches = Batches(shards, batch_rows=4)
    batches.next_batch()
    assert batches._ahead is not None
    thread = batches._ahead._thread
    assert thread.is_alive()
    del batches
    gc.collect()
    thread.join(timeout=120)
    assert not thread.is_alive()
