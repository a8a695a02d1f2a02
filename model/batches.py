"""Training batches from packed shards: shuffled, mixed, and resumable at any sample with any number of ranks.

Legend for shapes: B rows, T positions, S segments (documents, and stretches of padding) in a batch.

Sample k is the same row whoever asks (see `order.py`). A step takes the next world_size x B samples;
rank r gets the r-th B of them. So the place of a run is one number, the samples that it has consumed,
and batch size and number of ranks may change at any step.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from model.ahead import Ahead
from model.order import Phase, SampleOrder
from pipeline.errors import DataError, SettingError
from pipeline.pack.shards import RowBlock, ShardSet

IGNORE = -100


@dataclass(kw_only=True)
class Batch:
    """B rows as tensors. A position may attend to earlier positions of its own segment, and to no others.

    `tokens` is int64 (B, T+1). `cu_seqlens` is int32 (S+1): the borders of all segments in the B x T
    positions laid end to end, as variable-length attention kernels want them. `gaps` are the segments
    that are padding, as (begin, end) pairs in the same numbering: their labels count for nothing.
    """

    tokens: Tensor
    cu_seqlens: Tensor
    gaps: tuple[tuple[int, int], ...]
    max_seqlen: int
    num_labels: int
    sources: tuple[str, ...]

    @property
    def inputs(self) -> Tensor:
        """int64 (B, T): what the model reads; a view of `tokens`."""
        return self.tokens[:, :-1]

    @cached_property
    def labels(self) -> Tensor:
        """int64 (B, T): what it should say next; -100, which cross entropy ignores, on padding."""
        labels = self.tokens[:, 1:].contiguous()
        if self.gaps:
            labels.view(-1)[~self.loss_mask.view(-1)] = IGNORE
        return labels

    @cached_property
    def loss_mask(self) -> Tensor:
        """bool (B, T): whether the label of a position counts."""
        mask = torch.ones(self.inputs.shape, dtype=torch.bool, device=self.tokens.device)
        for begin, end in self.gaps:
            mask.view(-1)[begin:end] = False
        return mask

    @cached_property
    def position_ids(self) -> Tensor:
        """int64 (B, T): the place of a position in its segment."""
        borders = self.cu_seqlens.long()
        begin = torch.repeat_interleave(borders[:-1], borders.diff(), output_size=self.inputs.numel())
        return (torch.arange(self.inputs.numel(), device=begin.device) - begin).view(self.inputs.shape)

    @cached_property
    def segment_ids(self) -> Tensor:
        """int32 (B, T): the number of a position's segment in its row, from 0."""
        rows, positions = self.inputs.shape
        borders = self.cu_seqlens.long()
        number = torch.arange(len(borders) - 1, device=borders.device)
        number = torch.repeat_interleave(number, borders.diff(), output_size=rows * positions).view(rows, positions)
        return (number - number[:, :1]).int()

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """The batch on another device."""
        return self._with(
            self.tokens.to(device, non_blocking=non_blocking), self.cu_seqlens.to(device, non_blocking=non_blocking)
        )

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, from which copies to a GPU run beside its work."""
        return self._with(self.tokens.pin_memory(), self.cu_seqlens.pin_memory())

    def _with(self, tokens: Tensor, cu_seqlens: Tensor) -> "Batch":
        return Batch(
            tokens=tokens, cu_seqlens=cu_seqlens, gaps=self.gaps, max_seqlen=self.max_seqlen,
            num_labels=self.num_labels, sources=self.sources,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """Where batches of remote shards are kept, and how many bytes of them."""

    folder: str = ""
    max_bytes: int = 16 << 30


class Batches(IterableDataset[Batch]):
    """Batches of one split of a set of shards, for one rank.

    `weights` mixes the sources (None: every row once an epoch); an epoch is as many samples as there
    are rows, `epochs=None` never ends. `prefetch` batches are made ahead by a thread; with a
    `DataLoader(batches, batch_size=None, num_workers=n)` its workers take turns instead.

    Raises:
        InputError: there are no such shards.
        DataError: they were made with another tokenizer or row length than expected, or are damaged.
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
        self.batch_rows, self.rank, self.world_size = batch_rows, rank, world_size
        self.samples = 0
        self._drop_last, self._prefetch, self._pin = drop_last, prefetch, pin_memory and torch.cuda.is_available()
        self._end = None if epochs is None else epochs * self.order.num_rows
        self._how = {"seed": seed, "shuffle": shuffle, "window_rows": window_rows}
        self._ahead: Ahead[Batch] | None = None

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
        worker = get_worker_info()
        if worker is not None:
            yield from self._turns(worker.id, worker.num_workers)
            return
        while (batch := self.next_batch()) is not None:
            yield batch

    def next_batch(self, batch_rows: int | None = None) -> Batch | None:
        """The next batch of this rank, or None at the end; `batch_rows` is the size from now on, if given."""
        if batch_rows is not None and batch_rows != self.batch_rows:
            _check(batch_rows, self.rank, self.world_size, None)
            self._stop()
            self.batch_rows = batch_rows
        if not self._prefetch:
            batch = self._make(self.samples)
        else:
            step = self.batch_rows * self.world_size
            self._ahead = self._ahead or Ahead(self._make, self.samples, step, self._prefetch)
            batch = self._ahead.next()
        if batch is not None:
            self.samples += self.batch_rows * self.world_size
        return batch

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
            DataError: the state is of other shards, or of another order of these.
        """
        if state["shards"] != self.rows.identity:
            raise DataError(
                f"the checkpoint was trained on other shards than those in {self.rows.folder}: "
                f"theirs have the hash {state['shards'][:12]}…, these {self.rows.identity[:12]}…"
            )
        for name, value in self._how.items():
            if state[name] != value:
                raise DataError(f"the checkpoint was trained with {name} {state[name]}, this run sets {value}")
        self._stop()
        self.samples = int(state["samples"])
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
        source, row = self.order.at(np.arange(begin, end, dtype=np.int64))
        batch = collate(self._find(source, row), self.sequence_length)
        return batch.pin_memory() if self._pin else batch

    def _find(self, source: npt.NDArray[np.int64], row: npt.NDArray[np.int64]) -> list[tuple[RowBlock, int]]:
        """The block of each row, and its place there."""
        block, place = np.empty_like(row), np.empty_like(row)
        for number in np.unique(source).tolist():
            chosen = source == number
            block[chosen], place[chosen] = self.rows.locate(number, row[chosen])
        return list(zip(self.rows.blocks_at(block.tolist()), place.tolist(), strict=True))

    def _stop(self) -> None:
        if self._ahead is not None:
            self._ahead.stop()
            self._ahead = None

    def __del__(self) -> None:
        if self.__dict__.get("_ahead") is not None:
            self._stop()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "rows": None, "_ahead": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.rows = ShardSet.open(**self._open)  # type: ignore[arg-type]


def collate(rows: Sequence[tuple[RowBlock, int]], sequence_length: int) -> Batch:
    """The rows, each a block and a place in it, as one batch."""
    narrow = np.empty((len(rows), sequence_length + 1), dtype=rows[0][0].tokens.dtype)  # one cast for all is faster
    starts, ends = [], []
    for number, (block, place) in enumerate(rows):
        narrow[number] = block.tokens[place]
        first, last = block.list_offsets[place], block.list_offsets[place + 1]
        starts.append(block.starts[first:last] + number * sequence_length)
        ends.append(block.ends[first:last] + number * sequence_length)
    begin, end = np.concatenate(starts), np.concatenate(ends)
    edges = np.arange(len(rows) + 1, dtype=begin.dtype) * sequence_length
    borders = np.unique(np.concatenate((begin, end, edges)))
    gaps = np.flatnonzero(~np.isin(borders[:-1], begin, assume_unique=True))
    return Batch(
        tokens=torch.from_numpy(narrow.astype(np.int64)),
        cu_seqlens=torch.from_numpy(borders.astype(np.int32)),
        gaps=tuple((int(borders[gap]), int(borders[gap + 1])) for gap in gaps),
        max_seqlen=int(np.diff(borders).max()),
        num_labels=int((end - begin).sum()),
        sources=tuple(block.source for block, _ in rows),
    )


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
