"""The match-probability curve: hand-worked values, the chosen banding, and measured rates on the curve."""

import numpy as np
import pytest

from pipeline.dedup.bands import band_keys
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.curve import (
    PRESETS,
    SIMILARITIES,
    Banding,
    choose_banding,
    described,
    expected_errors,
    match_probability,
)
from pipeline.dedup.minhash import Permutations, signature
from pipeline.errors import SettingError


@pytest.mark.parametrize(
    ("preset", "similarity", "probability"),
    [
        ("14x8", 0.70, 0.565),
        ("14x8", 0.75, 0.772),
        ("14x8", 0.80, 0.924),
        ("20x13", 0.70, 0.177),
        ("20x13", 0.80, 0.677),
        ("20x13", 0.90, 0.997),
        ("450x20", 0.70, 0.302),
        ("450x20", 0.75, 0.761),
        ("450x20", 0.80, 0.995),
    ],
)
def test_published_points_of_the_presets(preset: str, similarity: float, probability: float) -> None:
    assert match_probability(similarity, PRESETS[preset]) == pytest.approx(probability, abs=6e-4)


def test_hand_worked() -> None:
    assert match_probability(0.5, Banding(2, 1)) == pytest.approx(0.75)  # 1 − (1 − ½)²
    assert match_probability(0.5, Banding(1, 2)) == pytest.approx(0.25)
    assert match_probability(0.0, Banding(14, 8)) == 0
    assert match_probability(1.0, Banding(14, 8)) == 1
    assert Banding(2, 1).midpoint == pytest.approx(1 - 0.5**0.5)
    errors = expected_errors(0.5, Banding(1, 1))  # probability s: mean ¼ below one half, missed ¼ above
    assert errors.false_positives == pytest.approx(0.25, abs=1e-3)
    assert errors.false_negatives == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize("target", [0.3, 0.5, 0.7, 0.8, 0.9])
def test_the_chosen_banding_leans_to_recall(target: float) -> None:
    banding = choose_banding(target, 128)
    assert banding.num_permutations <= 128
    assert banding.midpoint < target
    assert match_probability(min(target + 0.1, 0.99), banding) > 0.85
    assert f"{banding.bands} bands" in described(banding, target)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"threshold": 0.0}, "dedup.threshold is 0.0"),
        ({"preset": "15x8"}, "dedup.preset is '15x8'"),
        ({"bands": 3}, "dedup.bands is 3"),
        ({"preset": "custom"}, "dedup.bands is 0"),
        ({"target_similarity": 1.5}, "dedup.target_similarity is 1.5"),
        ({"target_similarity": 0.8, "preset": "20x13"}, "dedup.preset is '20x13'"),
        ({"survivor": "best_measure"}, "dedup.survivor_measure is ''"),
        ({"survivor_measure": "words"}, "dedup.survivor_measure is 'words'"),
        ({"survivor": "preferred_source"}, "dedup.preferred_sources is ()"),
        ({"shingle_words": 0}, "dedup.shingle_words is 0"),
    ],
)
def test_settings_that_contradict_are_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SettingError, match=named.replace("(", r"\(").replace(")", r"\)")):
        DedupConfig(**settings)  # type: ignore[arg-type]


BANDINGS = [
    *(
        pytest.param(banding, id=name, marks=[pytest.mark.slow] if banding.num_permutations > 1000 else [])
        for name, banding in PRESETS.items()
    ),
    pytest.param(choose_banding(0.6, 128), id="chosen for 0.6"),
]


@pytest.mark.parametrize("banding", BANDINGS)
def test_measured_match_rates_lie_on_the_curve(banding: Banding) -> None:
    """400 pairs of sets of known Jaccard similarity at each s; the rate must lie within 4 standard errors."""
    generator, pairs, size = np.random.default_rng(5), 400, 300
    permutations = Permutations.draw(banding.num_permutations)
    for similarity in SIMILARITIES:
        common = round(2 * size * similarity / (1 + similarity))
        true = common / (2 * size - common)
        signatures = np.empty((2 * pairs, banding.num_permutations), np.uint32)
        for pair in range(pairs):
            hashes = generator.integers(0, 2**64, 2 * size - common, dtype=np.uint64)
            signatures[2 * pair] = signature(hashes[:size], permutations)
            signatures[2 * pair + 1] = signature(hashes[size - common :], permutations)
        keys = band_keys(signatures, banding)
        rate = float((keys[::2] == keys[1::2]).any(axis=1).mean())
        expected = match_probability(true, banding)
        assert abs(rate - expected) <= 4 * np.sqrt(expected * (1 - expected) / pairs) + 1 / pairs
