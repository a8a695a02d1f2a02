"""How likely a pair of documents becomes a candidate: the S-curve of b bands of r rows.

Two sets of Jaccard similarity s agree in one MinHash value with probability s, in a band of r values
with s^r, and in at least one of b bands with 1 − (1 − s^r)^b (Leskovec et al., Mining of Massive
Datasets, chapter 3).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

SIMILARITIES = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


class Banding(NamedTuple):
    """A signature of `bands` × `rows` values."""

    bands: int
    rows: int

    @property
    def num_permutations(self) -> int:
        """The length of the signature."""
        return self.bands * self.rows

    @property
    def midpoint(self) -> float:
        """The similarity at which the curve is at one half."""
        return float((1 - 0.5 ** (1 / self.bands)) ** (1 / self.rows))


DEFAULT_PRESET = "28x5"
PRESETS = {
    DEFAULT_PRESET: Banding(28, 5),
    "20x7": Banding(20, 7),
    "14x8": Banding(14, 8),
    "20x13": Banding(20, 13),
    "450x20": Banding(450, 20),
}


def match_probability(similarity: float, banding: Banding) -> float:
    """The probability that a pair of this Jaccard similarity shares at least one band."""
    return float(1 - (1 - similarity**banding.rows) ** banding.bands)


def curve(banding: Banding) -> dict[float, float]:
    """The match probability at each of `SIMILARITIES`."""
    return {similarity: match_probability(similarity, banding) for similarity in SIMILARITIES}


@dataclass(frozen=True, slots=True)
class Errors:
    """Expected shares, for similarities spread evenly over 0…1: `false_positives` of the pairs below the
    target become candidates (verification then rejects them), `false_negatives` of those above do not."""

    false_positives: float
    false_negatives: float


def expected_errors(target: float, banding: Banding) -> Errors:
    """The expected errors of `banding` around the similarity `target`."""
    below, above = np.linspace(0, target, 2001), np.linspace(target, 1, 2001)
    positives = 1 - (1 - below**banding.rows) ** banding.bands
    negatives = (1 - above**banding.rows) ** banding.bands
    return Errors(float(np.mean(positives)), float(np.mean(negatives)))


def choose_banding(target: float, num_permutations: int, *, false_negative_weight: float = 0.99) -> Banding:
    """The bands and rows within `num_permutations` with the least weighted expected errors around `target`.

    Missed pairs weigh 99 times as much as needless candidates: verification removes the latter.
    Ties go to the shorter signature.
    """
    options = [Banding(num_permutations // rows, rows) for rows in range(1, num_permutations + 1)]

    def cost(banding: Banding) -> tuple[float, int]:
        errors = expected_errors(target, banding)
        weighted = (1 - false_negative_weight) * errors.false_positives * target
        return weighted + false_negative_weight * errors.false_negatives * (1 - target), banding.num_permutations

    return min(options, key=cost)


def described(banding: Banding, target: float) -> str:
    """The curve and the expected errors around the similarity `target` as lines for people."""
    errors = expected_errors(target, banding)
    lines = [
        f"{banding.bands} bands × {banding.rows} rows = {banding.num_permutations} permutations; "
        f"half at s = {banding.midpoint:.3f}"
    ]
    lines += [
        f"  s = {similarity:.2f}  candidate with probability {chance:.4f}"
        for similarity, chance in curve(banding).items()
    ]
    lines += [
        f"  around s = {target}, for similarities spread evenly:",
        f"  expected false positives {errors.false_positives:.4f} of the pairs below it (verification rejects them)",
        f"  expected false negatives {errors.false_negatives:.4f} of the pairs above it (missed)",
    ]
    return "\n".join(lines)


def compared(target: float) -> str:
    """The curves of the presets side by side, and their expected errors around the similarity `target`."""
    names = list(PRESETS)
    lines = [f"{'':>16}" + "".join(f"{name:>10}" for name in names)]
    for similarity in SIMILARITIES:
        chances = (match_probability(similarity, PRESETS[name]) for name in names)
        lines.append(f"{f's = {similarity:.2f}':>16}" + "".join(f"{chance:10.4f}" for chance in chances))
    errors = [expected_errors(target, PRESETS[name]) for name in names]
    lines.append(f"{'false positives':>16}" + "".join(f"{one.false_positives:10.4f}" for one in errors))
    lines.append(f"{'false negatives':>16}" + "".join(f"{one.false_negatives:10.4f}" for one in errors))
    return "\n".join(
        [*lines, f"errors: expected around s = {target}, for similarities spread evenly; default {DEFAULT_PRESET}"]
    )
