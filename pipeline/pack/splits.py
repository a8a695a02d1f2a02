"""Which documents are held out: a decision by the hash of the document id alone."""

import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_SPAN = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Holds out the documents whose hash lies below `threshold` (0 to 2**64)."""

    threshold: int
    seed: int = 0

    @classmethod
    def by_share(cls, share: float, seed: int = 0) -> Self:
        """Holds out about `share` of all documents; each decision is independent of all others."""
        return cls(threshold=int(share * _SPAN), seed=seed)

    @classmethod
    def by_number(cls, number: int, ids: Iterable[str], seed: int = 0) -> Self:
        """Holds out the `number` documents with the smallest hashes among `ids` (all, if there are fewer)."""
        smallest = heapq.nsmallest(number, {split_hash(id, seed) for id in ids}) if number else []
        return cls(threshold=smallest[-1] + 1 if smallest else 0, seed=seed)

    def split_of(self, id: str) -> str:
        """`heldout` or `train`."""
        return "heldout" if split_hash(id, self.seed) < self.threshold else "train"


def split_hash(id: str, seed: int) -> int:
    """A number from 0 to below 2**64, independent of the bits of the id that order the shards."""
    return int.from_bytes(hashlib.blake2b(f"heldout {seed} {id}".encode(), digest_size=8).digest(), "big")
