"""What a classifier is worth: precision, recall, F1, area under the curve, calibration, thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


def area_under_curve(labels: Sequence[bool], scores: Sequence[float]) -> float:
    """The chance that a bad text scores above a good one, ties counting half; NaN without both kinds."""
    bad = np.asarray(labels, bool)
    _, names, counts = np.unique(np.asarray(scores, np.float64), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[names]
    num_bad, num_good = int(bad.sum()), int((~bad).sum())
    if not num_bad or not num_good:
        return float("nan")
    return float((ranks[bad].sum() - num_bad * (num_bad + 1) / 2) / (num_bad * num_good))


def threshold_for_precision(labels: Sequence[bool], scores: Sequence[float], wanted: float) -> float:
    """The lowest threshold, rounded to thousandths, from which on precision is at least `wanted`; 0.999 if none is."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    bad = np.asarray(labels, bool)[order]
    precision = np.cumsum(bad) / np.arange(1, len(bad) + 1)
    good_enough = np.flatnonzero(precision >= wanted)
    if not len(good_enough):
        return 0.999
    return float(np.clip(np.floor(np.asarray(scores)[order][good_enough[-1]] * 1000) / 1000, 0.5, 0.999))


def threshold_for_f1(labels: Sequence[bool], scores: Sequence[float]) -> float:
    """The threshold with the best F1, rounded down to thousandths, never under 0.2."""
    values = np.asarray(scores)
    order = np.argsort(-values, kind="stable")
    bad = np.asarray(labels, bool)[order]
    f1 = 2 * np.cumsum(bad) / (np.arange(1, len(bad) + 1) + bad.sum())
    return float(np.clip(np.floor(values[order][int(np.argmax(f1))] * 1000) / 1000, 0.2, 0.999))


def threshold_for_share(scores: Sequence[float], share: float) -> float:
    """The lowest threshold, in thousandths, that at most `share` of the scores reach; 0 if that needs none, 0.999 at most."""
    descending = np.sort(np.asarray(scores))[::-1]
    allowed = int(share * len(descending))
    if allowed >= len(descending):
        return 0.0
    return float(min(0.999, (np.floor(descending[allowed] * 1000) + 1) / 1000))


def threshold_for_recall(labels: Sequence[bool], scores: Sequence[float], missed: float) -> float:
    """The highest threshold, in thousandths, under which at most the share `missed` of the bad texts stays."""
    ascending = np.sort(np.asarray(scores)[np.asarray(labels, bool)])
    return float(np.clip(np.floor(ascending[int(missed * len(ascending))] * 1000) / 1000, 0.001, 0.999))


def measure_decisions(labels: Sequence[bool], scores: Sequence[float], threshold: float) -> dict[str, Any]:
    """Precision, recall, F1 and AUC at a threshold. NaN is None, so that it can be written as JSON."""
    bad, called = np.asarray(labels, bool), np.asarray(scores) >= threshold
    hits = int((bad & called).sum())
    precision = hits / max(1, int(called.sum()))
    recall = hits / max(1, int(bad.sum()))
    auc = area_under_curve(labels, scores)
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {
        "number": len(bad),
        "auc": None if auc != auc else round(auc, 4),
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(f1, 4),
    }


def shown(figure: float | None) -> str:
    """A figure with three digits; a dash for an area under the curve that labels of one kind do not have."""
    return "–" if figure is None else f"{figure:.3f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Decisions at one threshold and how honest the scores are: (lowest score, number, mean score, share bad) by bin."""

    threshold: float
    decisions: dict[str, Any]
    bins: tuple[tuple[float, int, float, float], ...]

    @classmethod
    def of(cls, labels: Sequence[bool], scores: Sequence[float], threshold: float) -> "Report":
        """The report on labelled scores."""
        bad, values = np.asarray(labels, bool), np.asarray(scores)
        places = np.minimum((values * 10).astype(int), 9)
        rows = []
        for place in range(10):
            inside = places == place
            if inside.any():
                rows.append((place / 10, int(inside.sum()), float(values[inside].mean()), float(bad[inside].mean())))
        return cls(threshold=threshold, decisions=measure_decisions(labels, scores, threshold), bins=tuple(rows))

    def calibration_table(self) -> str:
        """The bins as a Markdown table."""
        rows = "\n".join(
            f"| {low:.1f}–{low + 0.1:.1f} | {number} | {mean:.3f} | {share:.3f} |"
            for low, number, mean, share in self.bins
        )
        return f"| score | texts | mean score | share bad |\n|---|---|---|---|\n{rows}"

    def text(self) -> str:
        """The whole report."""
        row = self.decisions
        return (
            f"held out: {row['number']} texts, AUC {shown(row['auc'])}; at threshold {self.threshold:.3f}: precision {row['precision']:.4f}, "
            f"recall {row['recall']:.4f}, F1 {row['f1']:.4f}\n{self.calibration_table()}"
        )
