"""Whether one recipe is better than another: the difference over seeds, with its confidence interval (paired t)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean of the variant minus mean of the base, and the interval that holds the true one with the given confidence.

    `low` and `high` are None with one seed, which tells nothing about chance.
    """

    mean: float
    low: float | None
    high: float | None

    @property
    def decided(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def difference(base: Sequence[float], variant: Sequence[float], *, confidence: float = 0.95) -> Difference:
    """The mean difference of pairs that have a seed in common, with Student's interval.

    Pairs share initial weights and the order of dropout; whatever that has in common for both falls out.
    """
    pairs = [one - other for one, other in zip(variant, base, strict=True)]
    mean = sum(pairs) / len(pairs)
    if len(pairs) < 2:
        return Difference(mean=mean, low=None, high=None)
    error = math.sqrt(_variance(pairs) / len(pairs))
    margin = t_quantile(0.5 + confidence / 2, len(pairs) - 1) * error
    return Difference(mean=mean, low=mean - margin, high=mean + margin)


def t_quantile(probability: float, freedom: float) -> float:
    """The value below which Student's t lies with `probability` (above a half), by bisection over its integral."""
    low, high = 0.0, 1.0
    while _t_share(high, freedom) < probability:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_share(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def _t_share(value: float, freedom: float, pieces: int = 2000) -> float:
    """The probability that t lies below `value`, by Simpson's rule over the angle whose tangent is t / sqrt(freedom)."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    step = math.atan(value / math.sqrt(freedom)) / pieces
    weights = ((4 if index % 2 else 2) if 0 < index < pieces else 1 for index in range(pieces + 1))
    total: float = sum(weight * math.cos(index * step) ** (freedom - 1) for index, weight in enumerate(weights))
    return 0.5 + scale * float(total) * step / 3


def _variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def interval_plot(differences: Sequence[tuple[str, Difference]], *, width: int = 41) -> list[str]:
    """A line for each: name, difference, interval, and the interval drawn on a common axis with zero in the middle."""
    farthest = (
        max((abs(each) for _, d in differences for each in (d.mean, d.low or 0.0, d.high or 0.0)), default=0.0) or 1.0
    )
    longest = max((len(name) for name, _ in differences), default=0)
    return [f"{name:<{longest}}  {_numbers(each)}  {_drawn(each, farthest, width)}" for name, each in differences]


def _numbers(each: Difference) -> str:
    interval = (
        f"[{each.low:+.4f}, {each.high:+.4f}]"
        if each.low is not None and each.high is not None
        else "[one seed]".ljust(18)
    )
    return f"{each.mean:+.4f} {interval}"


def _drawn(each: Difference, farthest: float, width: int) -> str:
    def place(value: float) -> int:
        return round((value / farthest + 1) / 2 * (width - 1))

    line = [" "] * width
    line[width // 2] = "|"
    if each.low is not None and each.high is not None:
        line[place(each.low) : place(each.high) + 1] = "-" * (place(each.high) - place(each.low) + 1)
    line[place(each.mean)] = "o"
    return "".join(line)
