"""Trains the linear model of `pipeline.filter.linear`: a support vector machine over hashed pieces, in 8-bit weights.

Squared hinge loss by dual coordinate descent (Hsieh et al. 2008), pieces weighted by the inverse of their document
frequency, and if asked by how unevenly the labels share them (NBSVM, Wang and Manning 2012); both are folded into
the weights. One thread and a seeded order: the same examples give the same bytes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jobs.classifier_data import Example
from pipeline.filter.linear import Weights, buckets_of, points_of
from pipeline.filter.reading import readable, with_signs
from tokenizer.compiling import kept

Floats = npt.NDArray[np.float64]
_BIAS_VALUE = 0.5
# A group with so many texts counts as much as each of its texts says; larger ones less, smaller ones more, by the root.
_USUAL_GROUP = 4000
_MAX_BALANCE = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """The distinct buckets of each text, one after the other; text `i` has `buckets[starts[i] : starts[i + 1]]`."""

    starts: npt.NDArray[np.int64]
    buckets: npt.NDArray[np.int32]

    @classmethod
    def of(cls, texts: Sequence[str], num_buckets: int, signs: bool = False) -> "Pieces":
        """The pieces of `texts`, e-mails as a person reads them; with `signs` those too."""
        plain = (with_signs(readable(text)) if signs else readable(text) for text in texts)
        found = [buckets_of(points_of(text), num_buckets).astype(np.int32) for text in plain]
        starts = np.cumsum([0, *map(len, found)], dtype=np.int64)
        return cls(starts=starts, buckets=np.concatenate([np.zeros(0, np.int32), *found]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Weights as they were learned, before they are rounded. A text scores `weights · pieces / √number + bias`."""

    weights: Floats
    bias: float

    def margins(self, pieces: Pieces, rows: npt.NDArray[np.int64]) -> Floats:
        """The margin of each chosen text: above 0 is bad."""
        return _margins(pieces.starts, pieces.buckets, rows, self.weights) + self.bias


def costs_of(examples: Sequence[Example]) -> Floats:
    """What an error costs: labels balanced within a group, groups by the root of their size, times the source's weight."""
    sizes = Counter(example.group for example in examples)
    halves = Counter((example.group, example.bad) for example in examples)
    return np.array(
        [
            example.weight
            * (_USUAL_GROUP / sizes[example.group]) ** 0.5
            * min(_MAX_BALANCE, 0.5 * sizes[example.group] / halves[example.group, example.bad])
            for example in examples
        ]
    )


def learn(
    pieces: Pieces, rows: npt.NDArray[np.int64], bad: npt.NDArray[np.bool_], costs: Floats,
    *, num_buckets: int, epochs: int, seed: int, contrast: float = 0,
) -> Machine:  # fmt: skip
    """The machine that parts the bad from the good among `rows`; `bad` and `costs` are by row of `pieces`.

    `contrast` is the power of the log-count ratio by which a piece is weighted; 0 is none, 1 all of it.
    """
    frequency = np.zeros(num_buckets)
    _count(pieces.starts, pieces.buckets, rows, frequency)
    rarity = _rounded(np.where(frequency > 0, np.log((1 + len(rows)) / (1 + frequency)) / 6, 0.0))
    if contrast:
        rarity *= _contrasts(pieces, rows, bad, num_buckets, contrast)
    weights = np.zeros(num_buckets + 1)
    order = np.random.default_rng(seed)
    signs, slack = np.where(bad, 1.0, -1.0), 0.5 / costs
    duals = np.zeros(len(bad))
    squares = _squares(pieces.starts, pieces.buckets, rows, rarity) + _BIAS_VALUE**2
    for _ in range(epochs):
        shuffled = order.permutation(len(rows))
        _descend(pieces.starts, pieces.buckets, rows, shuffled, rarity, squares, signs, slack, duals, weights)
    return Machine(weights=weights[:-1] * rarity, bias=float(weights[-1]) * _BIAS_VALUE)


def _contrasts(
    pieces: Pieces, rows: npt.NDArray[np.int64], bad: npt.NDArray[np.bool_], num_buckets: int, power: float
) -> Floats:
    """For each bucket how much likelier one label has it than the other, one more of each; 1 in the mean of the squares."""
    shares = []
    for chosen in (rows[bad[rows]], rows[~bad[rows]]):
        counts = np.ones(num_buckets)
        _count(pieces.starts, pieces.buckets, chosen, counts)
        shares.append(counts / counts.sum())
    ratios = _rounded(np.abs(np.log(shares[0] / shares[1])) ** power)
    seen = np.zeros(num_buckets)
    _count(pieces.starts, pieces.buckets, rows, seen)
    return np.asarray(ratios / max(1e-9, float(np.sqrt((ratios[seen > 0] ** 2).mean()))))


def _rounded(values: Floats) -> Floats:
    """To steps of 2^-20: the last digits of numpy's logarithms and powers are not the same on every processor."""
    return np.asarray(np.round(values * 2**20) / 2**20)


@kept(nogil=True)
def _count(
    starts: npt.NDArray[np.int64], buckets: npt.NDArray[np.int32], rows: npt.NDArray[np.int64], frequency: Floats
) -> None:
    for row in rows:
        for position in range(starts[row], starts[row + 1]):
            frequency[buckets[position]] += 1


@kept(nogil=True)
def _squares(
    starts: npt.NDArray[np.int64], buckets: npt.NDArray[np.int32], rows: npt.NDArray[np.int64], rarity: Floats
) -> Floats:
    squares = np.zeros(len(rows))
    for place in range(len(rows)):
        first, last = starts[rows[place]], starts[rows[place] + 1]
        for position in range(first, last):
            squares[place] += rarity[buckets[position]] ** 2
        squares[place] /= max(1, last - first)
    return squares


@kept(nogil=True)
def _margins(
    starts: npt.NDArray[np.int64], buckets: npt.NDArray[np.int32], rows: npt.NDArray[np.int64], weights: Floats
) -> Floats:
    margins = np.zeros(len(rows))
    for place in range(len(rows)):
        first, last = starts[rows[place]], starts[rows[place] + 1]
        for position in range(first, last):
            margins[place] += weights[buckets[position]]
        margins[place] /= np.sqrt(max(1, last - first))
    return margins


@kept(nogil=True)
def _descend(
    starts: npt.NDArray[np.int64], buckets: npt.NDArray[np.int32], rows: npt.NDArray[np.int64], shuffled: npt.NDArray[np.int64],
    rarity: Floats, squares: Floats, signs: Floats, slack: Floats, duals: Floats, weights: Floats,
) -> None:  # fmt: skip
    """One pass: each text's dual variable moves to its optimum, and the weights with it. The last weight is the bias."""
    for place in shuffled:
        row = rows[place]
        first, last = starts[row], starts[row + 1]
        share = 1.0 / np.sqrt(max(1, last - first))
        margin = weights[-1] * _BIAS_VALUE
        for position in range(first, last):
            margin += weights[buckets[position]] * rarity[buckets[position]] * share
        gradient = signs[row] * margin - 1 + duals[row] * slack[row]
        if duals[row] == 0 and gradient >= 0:
            continue
        before = duals[row]
        duals[row] = max(before - gradient / (squares[place] + slack[row]), 0.0)
        step = (duals[row] - before) * signs[row]
        weights[-1] += step * _BIAS_VALUE
        for position in range(first, last):
            weights[buckets[position]] += step * rarity[buckets[position]] * share


def calibration_of(margins: Floats, bad: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of the logistic curve from margins to probabilities (Platt 1999), by Newton's method."""
    targets = np.where(bad, (bad.sum() + 1) / (bad.sum() + 2), 1 / ((~bad).sum() + 2))
    inputs = np.stack([margins, np.ones(len(margins))], axis=1)
    line = np.zeros(2)
    for _ in range(50):
        chances = 1 / (1 + np.exp(-np.clip(inputs @ line, -30, 30)))
        spread = np.maximum(chances * (1 - chances), 1e-9)
        step = np.linalg.solve((inputs * spread[:, None]).T @ inputs + 1e-6 * np.eye(2), inputs.T @ (targets - chances))
        line += step
        if np.abs(step).max() < 1e-9:
            break
    return float(line[0]), float(line[1])


def rounded(machine: Machine, slope: float, intercept: float, *, signs: bool = False) -> Weights:
    """The machine in bytes, scoring probabilities. The few weights beyond the largest byte are cut to it."""
    largest = (
        float(np.quantile(np.abs(machine.weights[machine.weights != 0]), 0.9999)) if machine.weights.any() else 1.0
    )
    step = largest / 127
    table = np.clip(np.round(machine.weights / step), -127, 127).astype(np.int8)
    bias = round(slope * machine.bias + intercept, 6)
    return Weights(table=table, scale=round(slope * step, 9), bias=bias, signs=signs)
