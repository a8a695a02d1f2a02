"""Training batches from packed shards: shuffled, mixed, and resumable at any sample with any number of ranks.

Sample k is the same row whoever asks (see `order.py`). A step takes the next world_size x B samples;
rank r gets the r-th B of them. So the place of a run is one number, the samples that it has consumed,
and batch size and number of ranks may change at any step.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset, get_worker_info

from model.ahead import Ahead
from model.batch import Batch, collate
from model.order import Phase, SampleOrder, groups_of
from pipeline.errors import DataError, SettingError
from pipeline.pack.shards import ShardSet
from pipeline.places import user_cache

_PLANNED_ROWS = 1024  # numpy takes about as long for a thousand samples as for ten


def _cache_folder() -> str:
    return os.environ.get("CORPUSMILL_CACHE") or user_cache("batches")


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """Where record batches of remote shards are kept, and how many bytes of them.

    By default in $CORPUSMILL_CACHE, or else where programs of this user keep such things. Any number of
    processes and runs may share a folder.
    """

    folder: str = field(default_factory=_cache_folder)
    max_bytes: int = 16 << 30

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise SettingError(f"max_bytes of the cache is {self.max_bytes}; allowed is 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Where the rows of some steps lie: a line for each of the samples that they begin at."""

    begins: range
    block: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]


class Batches(IterableDataset[Batch]):
    """Batches of one split of a set of shards, for one rank.

    `weights` mixes the sources (None: every row once an epoch); an epoch is as many samples as there
    are rows, `epochs=None` never ends. `prefetch` batches are made ahead by a thread; with a
    `DataLoader(batches, batch_size=None, num_workers=n)` its workers take turns instead. Iterating goes on from where
    the loader is, and once that came to the end of the epochs, anew from the first sample. `pin_memory` puts batches into page-locked memory where torch sees a GPU; elsewhere there is none, and it changes nothing.

    Raises:
        InputError: there are no such shards.
        DataError: they were made with another tokenizer or row length than expected, are damaged, or there are none
            to go on with for ever.
        SettingError: a number is out of its range.
    """

    def __init__(
        self, shards: str, split: str = "train", *, batch_rows: int, seed: int = 0,
        weights: Mapping[str, float] | None = None,
        rank: int = 0, world_size: int = 1, shuffle: bool = True, epochs: int | None = None, drop_last: bool = True,
        expect_tokenizer: str | None = None, expect_sequence_length: int | None = None, verify: bool = True,
        window_rows: int | None = None, cache: CacheConfig | None = None, prefetch: int = 2, pin_memory: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        _check(batch_rows, rank, world_size, epochs)
        cache = cache or CacheConfig()
        self._open = {
            "folder": shards,
            "split": split,
            "verify": verify,
            "cache_folder": cache.folder,
            "cache_bytes": cache.max_bytes,
        }
        self.rows = ShardSet.open(**self._open)  # type: ignore[arg-type]
        _check_expected(self.rows, expect_tokenizer, expect_sequence_length)
        self.order = SampleOrder(
            {source: self.rows.num_rows(source) for source in self.rows.sources},
            seed=seed, shuffle=shuffle, weights=weights, window_rows=window_rows,
        )  # fmt: skip
        if not self.order.num_rows and epochs is None:
            raise DataError(f"the split {split!r} of the shards in {shards} has no rows")
        self.batch_rows, self.rank, self.world_size = batch_rows, rank, world_size
        self.samples = 0
        self._ended = False
        self._drop_last, self._prefetch, self._pin = drop_last, prefetch, pin_memory and torch.cuda.is_available()
        self._end = None if epochs is None else epochs * self.order.num_rows
        self._how = {"seed": seed, "shuffle": shuffle, "window_rows": window_rows}
        self._ahead: Ahead[Batch] | None = None
        self._plan: _Plan | None = None
        self._device = -1  # of the thread that asks for batches; -1 is the current one of any thread

    @classmethod
    def once(cls, shards: str, split: str = "heldout", *, batch_rows: int, **options: Any) -> Self:
        """Every row once, in order; the last batch may be short."""
        return cls(shards, split, batch_rows=batch_rows, shuffle=False, epochs=1, drop_last=False, **options)

    @property
    def num_rows(self) -> int:
        """The rows of the split: the samples of an epoch."""
        return self.order.num_rows

    @property
    def sequence_length(self) -> int:
        """Positions in a row (T)."""
        return self.rows.spec.sequence_length

    @property
    def vocab_size(self) -> int:
        """The token ids are below this."""
        return self.rows.spec.vocab_size

    @property
    def end_of_text_id(self) -> int:
        """The token before and behind every document."""
        return self.rows.spec.end_of_text_id

    @property
    def tokenizer_hash(self) -> str:
        """The hash of the tokenizer that made the tokens."""
        return self.rows.spec.tokenizer_hash

    def __iter__(self) -> Iterator[Batch]:
        if self._ended:
            self._stop()
            self.samples, self._ended = 0, False
        worker = get_worker_info()
        if worker is not None:
            yield from self._turns(worker.id, worker.num_workers)
        else:
            while (batch := self.next_batch()) is not None:
                yield batch
        self._ended = True

    def next_batch(self, batch_rows: int | None = None) -> Batch | None:
        """The next batch of this rank, or None at the end; `batch_rows` is the size from now on, if given."""
        if batch_rows is not None and batch_rows != self.batch_rows:
            _check(batch_rows, self.rank, self.world_size, None)
            self._stop()
            self.batch_rows = batch_rows
        batch = self._made_ahead().next() if self._prefetch else self._make(self.samples)
        if batch is not None or self._has_partners_only():
            self.samples += self.batch_rows * self.world_size
        return batch

    def _has_partners_only(self) -> bool:
        """Whether the last step has rows, and none is left for this rank: it is behind that step when the others are."""
        return self._end is not None and not self._drop_last and self.samples < self._end

    def _made_ahead(self) -> Ahead[Batch]:
        if self._ahead is None:
            if self._pin:
                self._device = torch.cuda.current_device()
            step = self.batch_rows * self.world_size
            self._ahead = Ahead(self._make, self.samples, step, self._prefetch)
        return self._ahead

    def reweigh(self, weights: Mapping[str, float] | None) -> None:
        """Mixes the sources by other weights from the next batch on. Every rank must do so at the same step."""
        self._stop()
        self.order.reweigh(self.samples, weights)

    def state_dict(self) -> dict[str, Any]:
        """The place of the run: the same on every rank. Plain JSON values."""
        schedule = [asdict(phase) for phase in self.order.schedule]
        return {
            "samples": self.samples,
            "shards": self.rows.identity,
            "sources": list(self.order.sources),
            "schedule": schedule,
            **self._how,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to where `state` was taken, by whatever number of ranks and whatever batch size.

        Raises:
            DataError: the state is of other shards, or of another order of these, or not of a loader.
        """
        lacking = sorted({"samples", "shards", "schedule", *self._how} - state.keys())
        if lacking:
            raise DataError(f"this is not the state of a loader: it has no {lacking[0]!r}")
        if state["shards"] != self.rows.identity:
            raise DataError(
                f"the checkpoint was trained on other shards than those in {self.rows.folder}: "
                f"theirs have the hash {state['shards'][:12]}…, these {self.rows.identity[:12]}…"
            )
        for name, value in self._how.items():
            if state[name] != value:
                raise DataError(f"the checkpoint was trained with {name} {state[name]}, this run sets {value}")
        self._stop()
        self.samples, self._ended = int(state["samples"]), False
        self.order.restore(
            [Phase(start=p["start"], weights=tuple(p["weights"]), drawn=tuple(p["drawn"])) for p in state["schedule"]]
        )

    def close(self) -> None:
        """Stops the thread and lets go of the files."""
        self._stop()
        self.rows.close()

    def _turns(self, worker: int, num_workers: int) -> Iterator[Batch]:
        """The batches of one of several workers that take turns."""
        step = self.batch_rows * self.world_size
        first = self.samples + worker * step
        while (batch := self._make(first)) is not None:
            first += num_workers * step
            self.samples = first - worker * step
            yield batch

    def _make(self, first: int) -> Batch | None:
        """The batch of this rank in the step that begins at sample `first`."""
        begin = first + self.rank * self.batch_rows
        end = begin + self.batch_rows
        if self._end is not None:
            if self._drop_last and first + self.batch_rows * self.world_size > self._end:
                return None
            end = min(end, self._end)
        if begin >= end:
            return None
        blocks, places = (numbers[: end - begin] for numbers in self._places(begin))
        rows = list(zip(self.rows.blocks_at(blocks), places, strict=True))
        batch = collate(rows, self.sequence_length)
        return self._pinned(batch) if self._pin else batch

    def _pinned(self, batch: Batch) -> Batch:
        """The batch in page-locked memory, except in a worker of a DataLoader.

        A forked process cannot use the GPU, and DataLoader can pin what its workers hand on. The device is set
        because it is a setting of each thread: the first one would get a context of every process.
        """
        if get_worker_info() is not None:
            return batch
        with torch.cuda.device(self._device):
            return batch.pin_memory()

    def _places(self, begin: int) -> tuple[list[int], list[int]]:
        """The blocks of the rows of the batch that begins at sample `begin`, and their places there."""
        step = self.batch_rows * self.world_size
        if self._plan is None or begin not in self._plan.begins:
            num_steps = max(1, _PLANNED_ROWS // self.batch_rows)
            begins = range(begin, begin + num_steps * step, step)
            samples = np.add.outer(np.array(begins, dtype=np.int64), np.arange(self.batch_rows, dtype=np.int64))
            source, row = self.order.at(samples.reshape(-1))
            block, place = np.empty_like(row), np.empty_like(row)
            for number, chosen in groups_of(source):
                block[chosen], place[chosen] = self.rows.locate(number, row[chosen])
            self._plan = _Plan(begins=begins, block=block.reshape(samples.shape), place=place.reshape(samples.shape))
        number = self._plan.begins.index(begin)
        return self._plan.block[number].tolist(), self._plan.place[number].tolist()

    def _stop(self) -> None:
        if self._ahead is not None:
            self._ahead.stop()
            self._ahead = None
        self._plan = None  # after the thread, which may have made one

    def __del__(self) -> None:
        if self.__dict__.get("_ahead") is not None:
            self._stop()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "rows": None, "_ahead": None, "_plan": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.rows = ShardSet.open(**self._open)  # type: ignore[arg-type]


def _check(batch_rows: int, rank: int, world_size: int, epochs: int | None) -> None:
    if batch_rows < 1:
        raise SettingError(f"batch_rows is {batch_rows}; allowed is 1 or more")
    if not 0 <= rank < world_size:
        raise SettingError(f"rank is {rank} of world_size {world_size}; allowed is 0 to world_size - 1")
    if epochs is not None and epochs < 1:
        raise SettingError(f"epochs is {epochs}; allowed is 1 or more, or none to go on for ever")


def _check_expected(rows: ShardSet, tokenizer: str | None, sequence_length: int | None) -> None:
    if tokenizer is not None and tokenizer != rows.spec.tokenizer_hash:
        raise DataError(
            f"the shards in {rows.folder} were made with the tokenizer {rows.spec.tokenizer_hash[:12]}…, "
            f"not with {tokenizer[:12]}…: pack the documents again"
        )
    if sequence_length is not None and sequence_length != rows.spec.sequence_length:
        raise DataError(
            f"the shards in {rows.folder} have rows of {rows.spec.sequence_length} positions, not {sequence_length}"
        )
