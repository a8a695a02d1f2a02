"""Learns byte-level BPE merges from counts of pre-tokens, in exactly the order of Hugging Face `tokenizers`.

The next merge is the commonest pair; on a tie, the pair with the smaller ids. Time and memory grow with
the number of *different* pre-tokens, not with the text: about 1 s and 100 MB for 300,000 of them and
32,000 merges. Counts are 64-bit throughout (`tokenizers` wraps its pair counts at 2^31). The result does
not depend on the order of the table.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokenizer.alphabet import BYTE_TOKENS, to_bytes
from tokenizer.vocabulary import Vocabulary

Array = npt.NDArray[np.int64]
_LARGEST_MASS = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class WordCounts:
    """A count table in memory: pre-token i is `data[offsets[i]:offsets[i + 1]]` and occurred `counts[i]` times."""

    data: npt.NDArray[np.uint8]
    offsets: Array
    counts: Array

    @classmethod
    def of(cls, counts: dict[bytes, int]) -> "WordCounts":
        """The table that holds `counts`.

        Raises:
            ValueError: a count does not fit into 63 bits.
        """
        if any(not 0 <= count < 1 << 63 for count in counts.values()):
            raise ValueError("a count in the table is negative or 2^63 or more")
        offsets = np.concatenate(([0], np.cumsum([len(word) for word in counts], dtype=np.int64))).astype(np.int64)
        data = np.frombuffer(b"".join(counts), dtype=np.uint8)
        return cls(data=data, offsets=offsets, counts=np.fromiter(counts.values(), dtype=np.int64, count=len(counts)))

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def num_bytes(self) -> int:
        """Bytes of text that the table stands for, exactly."""
        return int(np.dot(np.diff(self.offsets).astype(object), self.counts.astype(object))) if len(self) else 0


def learn(
    counts: WordCounts,
    *,
    vocab_size: int,
    specials: tuple[str, ...],
    min_frequency: int = 0,
    max_token_bytes: int | None = None,
) -> Vocabulary:
    """The vocabulary of `vocab_size` tokens (special tokens and single bytes included) that `counts` gives.

    It is smaller where the table runs out of pairs that occur `min_frequency` times. A pair is not
    merged into a token of `max_token_bytes` bytes or more (the reading of `tokenizers`); nor into one
    that would be written like a special token.

    Raises:
        ValueError: `vocab_size` does not hold specials and bytes, or the counts are too large for 64 bits.
    """
    smallest = len(specials) + len(BYTE_TOKENS)
    if vocab_size < smallest:
        raise ValueError(
            f"vocab_size is {vocab_size}; {len(specials)} special tokens and 256 bytes need at least {smallest}"
        )
    if counts.num_bytes >= _LARGEST_MASS:
        raise ValueError(
            f"the table stands for {counts.num_bytes} bytes of text; at most 2^62 are supported: weigh sources down"
        )
    from tokenizer.merging import learn_merges  # here: importing numba takes half a second

    id_of_byte = np.empty(256, dtype=np.int32)
    for index, token in enumerate(BYTE_TOKENS):
        id_of_byte[token[0]] = len(specials) + index
    forbidden, forbidden_offsets = _joined([name for name in map(_written_like, specials) if name])
    pairs, tokens, merge_counts = learn_merges(
        counts.data, counts.offsets, counts.counts, id_of_byte, len(specials), vocab_size, max(1, min_frequency),
        max_token_bytes or np.iinfo(np.int64).max, forbidden, forbidden_offsets,
    )  # fmt: skip
    return _vocabulary(specials, pairs, tokens, merge_counts)


def _vocabulary(specials: tuple[str, ...], pairs: Array, made: Array, merge_counts: Array) -> Vocabulary:
    """Spells out the tokens. A pair that was merged twice counts where it was merged last, as in `tokenizers`."""
    tokens = list(BYTE_TOKENS)
    first = len(specials)
    for (left, right), token_id in zip(pairs.tolist(), made.tolist(), strict=True):
        if token_id - first == len(tokens):
            tokens.append(tokens[left - first] + tokens[right - first])
    last = {(left, right): index for index, (left, right) in enumerate(pairs.tolist())}
    kept = [index for index, (left, right) in enumerate(pairs.tolist()) if last[left, right] == index]
    return Vocabulary(
        specials=specials,
        tokens=tuple(tokens),
        merges=tuple((int(pairs[index, 0]), int(pairs[index, 1])) for index in kept),
        merge_counts=tuple(int(merge_counts[index]) for index in kept),
    )


def _written_like(special: str) -> bytes:
    """The bytes whose token would be written like `special`, or none."""
    try:
        return to_bytes(special)
    except ValueError:
        return b""


def _joined(names: list[bytes]) -> tuple[npt.NDArray[np.uint8], Array]:
    offsets = np.concatenate(([0], np.cumsum([len(name) for name in names], dtype=np.int64))).astype(np.int64)
    return np.frombuffer(b"".join(names) or b"\0", dtype=np.uint8), offsets
