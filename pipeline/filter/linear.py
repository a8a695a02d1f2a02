"""A linear model over hashed pieces of words: 8-bit weights in one table, no vocabulary.

A two-class fastText model is linear in its pieces, but spends a vector on each where one number says as much. Here a
piece (1 to 5 characters of a word and its borders, a word, two words) is hashed to a bucket, a bucket
has one byte, and a text scores `bias + scale · sum of its distinct pieces / √their number`. Sums are of integers, so
a score is the same on any machine. The whole and each line are summed in one pass over the same pieces.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from pipeline.errors import DataError
from pipeline.filter.reading import plain_spelling, with_signs
from tokenizer.compiling import kept

MAX_PIECE = 5
_NEW_LINE = 10
_PIECES_A_CHARACTER = MAX_PIECE + 6
Points = npt.NDArray[np.uint32]
Buckets = npt.NDArray[np.int64]


def points_of(text: str) -> Points:
    """The code points of `text` in its plain spelling, lines kept."""
    return np.frombuffer(plain_spelling(text).encode("utf-32-le", "replace"), np.uint32)


def buckets_of(points: Points, num_buckets: int) -> Buckets:
    """The buckets of the distinct pieces, ascending."""
    found, ends = _scratch(points)
    lines = _fill_buckets(points, num_buckets, found, ends)
    return np.unique(found[: ends[lines]])


def _scratch(points: Points) -> tuple[Buckets, Buckets]:
    """Room for the buckets of `points`, and for where those of each line end."""
    return np.empty(len(points) * _PIECES_A_CHARACTER, np.int64), np.zeros(
        int((points == _NEW_LINE).sum()) + 2, np.int64
    )


@kept(nogil=True)
def _bucket(value: np.uint64, num_buckets: np.uint64) -> np.int64:
    """`value` mixed (two rounds of xor-shift and multiply), then its upper half scaled to the table."""
    for _ in range(2):
        value ^= value >> np.uint64(32)
        value *= np.uint64(0xD6E8FEB86659FD93)
    return np.int64(((value >> np.uint64(32)) * num_buckets) >> np.uint64(32))


@kept(nogil=True)
def _is_space(point: np.uint32) -> bool:
    """Whether `point` parts words; compatibility normalisation has made the other spaces plain ones."""
    return bool(point <= 32 or point == 0x85 or point == 0x1680 or point == 0x2028 or point == 0x2029)


@kept(nogil=True)
def _fill_buckets(points: Points, num_buckets: int, found: Buckets, ends: Buckets) -> int:
    """Writes the bucket of every piece to `found`, and to `ends[1:]` where those of each line with words end.

    Returns the number of such lines. No piece crosses a line.
    """
    size = np.uint64(num_buckets)
    count, lines, at, before = 0, 0, 0, np.uint64(0)
    while at < len(points):
        if _is_space(points[at]):
            if points[at] == _NEW_LINE and before:
                lines += 1
                ends[lines] = count
                before = np.uint64(0)
            at += 1
            continue
        stop = at
        word = np.uint64(7)
        while stop < len(points) and not _is_space(points[stop]):
            word = (word ^ np.uint64(points[stop])) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
            word ^= word >> np.uint64(29)
            stop += 1
        for first in range(at - 1, stop + 1):
            piece = np.uint64(3)
            for last in range(first, min(first + MAX_PIECE, stop + 1)):
                point = np.uint64(points[last]) if at <= last < stop else np.uint64(32)
                piece = (piece ^ point) * np.uint64(0x100000001B3) + np.uint64(last - first + 1)
                found[count] = _bucket(piece, size)
                count += 1
        found[count] = _bucket(word, size)
        count += 1
        if before:
            found[count] = _bucket(before * np.uint64(31) + word, size)
            count += 1
        before = word
        at = stop
    if before:
        lines += 1
        ends[lines] = count
    return lines


@kept(nogil=True)
def _mean_weight(found: Buckets, weights: npt.NDArray[np.int8], seen: npt.NDArray[np.int32], mark: int) -> float:
    """Sum of the weights of the distinct buckets over the root of their number; 0 where there are none."""
    total, number = np.int64(0), 0
    for bucket in found:
        if seen[bucket] != mark:
            seen[bucket] = mark
            number += 1
            total += np.int64(weights[bucket])
    return float(total / np.sqrt(number)) if number else 0.0


@kept(nogil=True)
def _mean_weights(
    found: Buckets, ends: Buckets, weights: npt.NDArray[np.int8], seen: npt.NDArray[np.int32], mark: int
) -> npt.NDArray[np.float64]:
    """The mean weight of the whole, then that of each line."""
    means = np.empty(len(ends))
    means[0] = _mean_weight(found, weights, seen, mark)
    for line in range(1, len(ends)):
        means[line] = (
            _mean_weight(found[ends[line - 1] : ends[line]], weights, seen, mark + line) if len(ends) > 2 else means[0]
        )
    return means


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What a model knows: a byte a bucket, what a byte is worth, and where a text without pieces stands."""

    table: npt.NDArray[np.int8]
    scale: float
    bias: float
    # Whether it reads a text with its signs (see `with_signs`).
    signs: bool = False

    def to_bytes(self) -> bytes:
        """As a safetensors file. Its metadata is one entry, since several would come in any order."""
        about = {"bias": self.bias, "pieces": MAX_PIECE, "scale": self.scale, "signs": self.signs}
        return safetensors.numpy.save({"weights": self.table}, {"model": json.dumps(about)})

    @classmethod
    def read(cls, path: str) -> "Weights":
        """The weights in a local file.

        Raises:
            DataError: it is not such a file.
        """
        try:
            with safetensors.safe_open(path, "numpy") as file:
                about: dict[str, Any] = json.loads((file.metadata() or {})["model"])
                table = np.ascontiguousarray(file.get_tensor("weights"))
                if table.dtype != np.int8 or table.ndim != 1 or not len(table) or about["pieces"] != MAX_PIECE:
                    raise ValueError("it holds no table of 8-bit weights for pieces of this size")
                return cls(
                    table=table,
                    scale=float(about["scale"]),
                    bias=float(about["bias"]),
                    signs=bool(about.get("signs", False)),
                )
        except (ValueError, KeyError, OSError, safetensors.SafetensorError) as error:
            raise DataError(f"{path} is not a linear model: {error}") from None


class LinearModel:
    """Scores texts with weights. Holds scratch space for one thread."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self.signs = weights.signs
        self._seen = np.zeros(len(weights.table), np.int32)
        self._mark = 1

    def score(self, text: str) -> float:
        """The probability of the bad label for the whole of `text`; 0 without words."""
        if not text.strip():
            return 0.0
        return self.score_lines(with_signs(text) if self.signs else text)[0]

    def score_lines(self, text: str) -> tuple[float, list[float]]:
        """The probability of the bad label for the whole of `text` (0 without words), and for each of its lines with words."""
        points = points_of(text)
        found, ends = _scratch(points)
        lines = _fill_buckets(points, len(self._weights.table), found, ends)
        if self._mark + lines >= np.iinfo(np.int32).max:
            self._seen[:] = 0
            self._mark = 1
        means = _mean_weights(found[: ends[lines]], ends[: lines + 1], self._weights.table, self._seen, self._mark)
        self._mark += lines + 1
        logits = self._weights.bias + self._weights.scale * means
        whole, *single = np.round(1 / (1 + np.exp(-np.clip(logits, -30, 30))), 6).tolist()
        return (whole if lines else 0.0), single
