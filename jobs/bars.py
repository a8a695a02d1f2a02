"""Bars of a report as plain values: the page draws them itself, so that they fit a telephone and a dark screen."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar: its length in per cent of the longest, its value in words, and whether it stands out; `series` only where there are several."""

    name: str
    series: str
    text: str
    percent: float
    strong: bool


def bars(values: Mapping[str, float], *, highlight: str = "") -> list[Bar]:
    """One bar a value, in the given order; `highlight` (or else every one) stands out."""
    return groups({name: {"": value} for name, value in values.items()}, highlight=highlight)


def groups(values: Mapping[str, Mapping[str, float]], *, highlight: str = "") -> list[Bar]:
    """One group of bars a name, one bar a series, the first of which stands out; only the first bar of a group has its name."""
    several = any(len(series) > 1 for series in values.values())
    longest = max((value for series in values.values() for value in series.values()), default=0.0) or 1.0
    return [
        Bar(
            name="" if number else name,
            series=label if several else "",
            text=short(value),
            percent=round(100 * value / longest, 2),
            strong=not number and highlight in ("", name),
        )
        for name, series in values.items()
        for number, (label, value) in enumerate(series.items())
    ]


def short(value: float) -> str:
    """A number for people."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3f}"
