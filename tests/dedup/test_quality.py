"""Recall and precision on labelled near duplicates: floors, and beside plain datasketch on every set."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import dedup as benchmark
from benchmarks.dedup_sets import DATA, SETS, documents, labelled_pairs
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.filtering import found_pairs
from tests.filter.floors import floor

pytestmark = pytest.mark.skipif(not Path(DATA, "neardup").is_dir(), reason=f"{DATA}/neardup is absent")


def ours(name: str) -> benchmark.Score:
    """How the default settings do on one set."""
    records = documents(name)
    names = [str(one["id"]) for one in records]
    pairs, removed = found_pairs([one["text"] for one in records], DedupConfig())
    return benchmark.scored(
        [(min(names[a], names[b]), max(names[a], names[b])) for a, b in pairs],
        [names[at] for at in removed],
        *labelled_pairs(name),
    )


def shares(score: benchmark.Score) -> dict[str, float]:
    return {
        "recall": score.found / score.wanted,
        "precision": score.right / score.joined,
        "strict_precision": score.strict / score.joined,
    }


def check_floors(score: benchmark.Score) -> None:
    assert score.wrong == 0
    for name, value in shares(score).items():
        assert value >= floor("dedup", name), (name, score)


def test_floors_on_two_sets() -> None:
    check_floors(ours("articles_2500").plus(ours("httpd_manual_en")))


@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute of one core, but seldom of one alone
def test_floors_on_all_sets_and_no_set_below_datasketch() -> None:
    """Beside the candidates of plain datasketch, and those that its own estimate confirms."""
    pytest.importorskip("datasketch")
    total, below = benchmark.Score(), []
    for name in SETS:
        score, records, labels = ours(name), documents(name), labelled_pairs(name)
        total = total.plus(score)
        for peer, (pairs, removed) in zip(("plain", "checked"), benchmark.of_datasketch(records), strict=True):
            theirs: dict[str, Any] = shares(benchmark.scored(pairs, removed, *labels))
            below += [(name, peer, key) for key, value in shares(score).items() if value < theirs[key]]
    check_floors(total)
    assert below == []
