"""A loader in memory for tests: fixed rows, batches by number, its place is the number of the next batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Rows:
    """Rows of packed documents."""

    inputs: Tensor
    labels: Tensor
    segment_ids: Tensor
    sources: tuple[str, ...] = ()


class RandomRows:
    """Rows in which nine of ten tokens follow from the one before, with unequal numbers of labels."""

    def __init__(
        self,
        *,
        rows: int,
        length: int,
        vocab: int = 32,
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
        end: int | None = None,
    ) -> None:
        self.shape = (rows * world, length)
        self.mine = slice(rank * rows, (rank + 1) * rows)
        self.vocab, self.seed, self.end = vocab, seed, end
        self.place = 0

    def next_batch(self) -> Rows | None:
        if self.place == self.end:
            return None
        generator = torch.Generator().manual_seed(self.seed * 1000 + self.place)
        self.place += 1
        rows, length = self.shape
        tokens = torch.randint(self.vocab, (rows, 2), generator=generator)
        for _ in range(length - 1):
            noise = (torch.rand(rows, 1, generator=generator) < 0.1).long()
            tokens = torch.cat((tokens, (5 * tokens[:, -1:] + 1 + noise) % self.vocab), dim=1)
        segments = (torch.arange(length) >= torch.randint(1, length, (rows, 1), generator=generator)).long()
        labels = tokens[:, 1:].clone()
        padded = torch.randint(1, length + 1, (rows, 1), generator=generator)
        labels[torch.arange(length) >= padded] = -100
        return Rows(tokens[self.mine, :-1], labels[self.mine], segments[self.mine])

    def state_dict(self) -> Mapping[str, Any]:
        return {"place": self.place}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.place = state["place"]
