"""Rows as tensors: tokens, and the borders of documents as attention, positions and the loss want them.

Legend for shapes: B rows, T positions, S segments (documents, and stretches of padding) in a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.pack.shards import RowBlock

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
        self._fill_gaps(labels, IGNORE)
        return labels

    @cached_property
    def loss_mask(self) -> Tensor:
        """bool (B, T): whether the label of a position counts."""
        mask = torch.ones(self.inputs.shape, dtype=torch.bool, device=self.tokens.device)
        self._fill_gaps(mask, False)
        return mask

    @cached_property
    def position_ids(self) -> Tensor:
        """int64 (B, T): the place of a position in its segment."""
        borders = self.cu_seqlens.long()
        steps = torch.ones(self.inputs.shape, dtype=torch.int64, device=borders.device)
        steps.view(-1)[borders[1:-1]] = 1 - borders.diff()[:-1]
        steps[:, 0] = 0
        return steps.cumsum(dim=1)

    @cached_property
    def segment_ids(self) -> Tensor:
        """int32 (B, T): the number of a position's segment in its row, from 0."""
        steps = torch.zeros(self.inputs.shape, dtype=torch.int32, device=self.cu_seqlens.device)
        steps.view(-1)[self.cu_seqlens[1:-1].long()] = 1
        steps[:, 0] = 0
        return steps.cumsum(dim=1, dtype=torch.int32)

    def _fill_gaps(self, values: Tensor, value: int) -> None:
        """Writes `value` to the padding of (B, T) `values`; through numpy on a CPU, whose slices cost a tenth."""
        flat: Any = values.view(-1)
        flat = flat.numpy() if flat.device.type == "cpu" else flat
        for begin, end in self.gaps:
            flat[begin:end] = value

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


def collate(rows: Sequence[tuple[RowBlock, int]], sequence_length: int) -> Batch:
    """The rows, each a block and a place in it, as one batch."""
    narrow, starts, ends, documents = [], [], [], []
    for block, place in rows:
        first, last = block.list_offsets[place], block.list_offsets[place + 1]
        narrow.append(block.tokens[place])
        starts.append(block.starts[first:last])
        ends.append(block.ends[first:last])
        documents.append(last - first)
    edges = np.arange(len(rows) + 1, dtype=np.int32) * sequence_length
    shift = np.repeat(edges[:-1], documents)
    begin, end = np.concatenate(starts) + shift, np.concatenate(ends) + shift
    borders = np.concatenate((begin, end, edges))
    borders.sort()
    borders = borders[np.append(True, borders[1:] != borders[:-1])]
    is_gap = np.ones(len(borders) - 1, dtype=bool)
    is_gap[borders.searchsorted(begin)] = False
    gaps = np.flatnonzero(is_gap)
    tokens = np.concatenate(narrow).astype(np.int64)  # one cast for all is faster than one a row
    return Batch(
        tokens=torch.from_numpy(tokens).view(len(rows), sequence_length + 1),
        cu_seqlens=torch.from_numpy(borders),
        gaps=tuple(zip(borders[gaps].tolist(), borders[gaps + 1].tolist(), strict=True)),
        max_seqlen=int((borders[1:] - borders[:-1]).max()),
        num_labels=int(end.sum(dtype=np.int64) - begin.sum(dtype=np.int64)),
        sources=tuple(block.source for block, _ in rows),
    )
