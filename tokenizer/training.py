"""Learns byte-level BPE merges from counts of pre-tokens, in exactly the order of Hugging Face `tokenizers`.

The next merge is the commonest pair; on a tie, the pair with the smaller ids. Time and memory grow with
the number of *different* pre-tokens, not with the text: about 1 s and 100 MB for 300,000 of them and
32,000 merges. Counts are 64-bit (`tokenizers` wraps its pair counts at 2^31), and unbounded where the table
stands for 2^62 bytes of text or more, which takes longer (see `tokenizer.unbounded`). The result does not
depend on the order of the table.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.alphabet import BYTE_TOKENS, to_bytes
from tokenizer.unbounded import Merge, UnboundedLearner
from tokenizer.vocabulary import Vocabulary

Array = npt.NDArray[np.int64]
_UNLIMITED = (1 << 63) - 1
LARGEST_MASS = 1 << 62  # bytes of text; whatever is summed over a table of less fits into 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class WordCounts:
    """A count table in memory: pre-token i is `data[offsets[i]:offsets[i + 1]]` and occurred `counts[i]` times.

    Counts are int64, or Python's integers (see `narrowed`).
    """

    data: npt.NDArray[np.uint8]
    offsets: Array
    counts: npt.NDArray[Any]

    @classmethod
    def of(cls, counts: dict[bytes, int]) -> "WordCounts":
        """The table that holds `counts`.

        Raises:
            ValueError: a count is negative.
        """
        if any(count < 0 for count in counts.values()):
            raise ValueError("a count in the table is negative")
        offsets = np.concatenate(([0], np.cumsum([len(word) for word in counts], dtype=np.int64))).astype(np.int64)
        data = np.frombuffer(b"".join(counts), dtype=np.uint8)
        numbers = np.array(list(counts.values()), dtype=object)
        return cls(data=data, offsets=offsets, counts=narrowed(numbers, np.diff(offsets)))

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def num_bytes(self) -> int:
        """Bytes of text that the table stands for, exactly."""
        return int(np.dot(np.diff(self.offsets).astype(object), self.counts.astype(object))) if len(self) else 0

    @property
    def is_large(self) -> bool:
        """Whether it stands for so much text that sums over it may not fit into 64 bits."""
        return _mass(self.counts, np.diff(self.offsets)) >= LARGEST_MASS

    def words(self) -> list[bytes]:
        """The pre-tokens."""
        data = self.data.tobytes()
        return [data[start:end] for start, end in pairwise(self.offsets.tolist())]


def narrowed(counts: npt.NDArray[Any], sizes: Array) -> npt.NDArray[Any]:
    """`counts` of pre-tokens of `sizes` bytes, as int64 where they stand for little enough text, else as Python's integers.

    Every sum that is made of counts (of pairs, tokens, bytes) is at most that of the bytes, so none can wrap.
    """
    return counts.astype(np.int64 if _mass(counts, sizes) < LARGEST_MASS else object, copy=False)


def _mass(counts: npt.NDArray[Any], sizes: Array) -> float:
    """About how many bytes of text: near enough, for what fits into 64 bits is twice `LARGEST_MASS`."""
    return float(np.dot(counts.astype(np.float64), sizes))


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
        ValueError: `vocab_size` does not hold specials and bytes.
    """
    smallest = len(specials) + len(BYTE_TOKENS)
    if vocab_size < smallest:
        raise ValueError(
            f"vocab_size is {vocab_size}; {len(specials)} special tokens and 256 bytes need at least {smallest}"
        )
    names = [name for name in map(_written_like, specials) if name]
    learner = _learn_in_any_size if counts.is_large else _learn_in_64_bits
    merges = learner(counts, len(specials), vocab_size, max(1, min_frequency), max_token_bytes or _UNLIMITED, names)
    return _vocabulary(specials, merges)


def _learn_in_64_bits(
    counts: WordCounts, first_id: int, vocab_size: int, min_frequency: int, max_token_bytes: int, forbidden: list[bytes]
) -> list[Merge]:
    from tokenizer.merging import learn_merges  # here: importing numba takes half a second

    id_of_byte = np.empty(256, dtype=np.int32)
    for index, token in enumerate(BYTE_TOKENS):
        id_of_byte[token[0]] = first_id + index
    pairs, made, merge_counts = learn_merges(
        counts.data, counts.offsets, counts.counts.astype(np.int64), id_of_byte, first_id, vocab_size,
        min(min_frequency, _UNLIMITED), max_token_bytes, *_joined(forbidden),
    )  # fmt: skip
    return [
        Merge((left, right), token_id, count)
        for (left, right), token_id, count in zip(pairs.tolist(), made.tolist(), merge_counts.tolist(), strict=True)
    ]


def _learn_in_any_size(
    counts: WordCounts, first_id: int, vocab_size: int, min_frequency: int, max_token_bytes: int, forbidden: list[bytes]
) -> list[Merge]:
    learner = UnboundedLearner(
        counts.words(), counts.counts.tolist(), first_id=first_id, max_token_bytes=max_token_bytes
    )
    return learner.learn(vocab_size, min_frequency=min_frequency, forbidden=forbidden)


def _vocabulary(specials: tuple[str, ...], merges: list[Merge]) -> Vocabulary:
    """Spells out the tokens. A pair that was merged twice counts where it was merged last, as in `tokenizers`."""
    tokens = list(BYTE_TOKENS)
    first = len(specials)
    for (left, right), made, _ in merges:
        if made - first == len(tokens):
            tokens.append(tokens[left - first] + tokens[right - first])
    last = {merge.pair: index for index, merge in enumerate(merges)}
    kept = [merge for index, merge in enumerate(merges) if last[merge.pair] == index]
    return Vocabulary(
        specials=specials,
        tokens=tuple(tokens),
        merges=tuple(merge.pair for merge in kept),
        merge_counts=tuple(merge.frequency for merge in kept),
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
