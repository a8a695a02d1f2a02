"""`corpusmill ablate` as a person gives it: variants replayed from measures are those made from pages, byte for byte."""

import json
from collections.abc import Callable

import pytest

from jobs import config as settings
from jobs import curate, ingest
from jobs.engine import Engine
from pipeline.manifests import read_manifest
from tests.commands import Commands
from tests.runs import Made, assert_same, contents

FILTERED = ("filtered", "measures", "rejected/filter")
# Short pages that were refused would pass, long ones that passed would be refused.
THRESHOLDS = ("filter.gopher_quality.min_words=5", "filter.gopher_quality.max_words=150")


@pytest.mark.slow
def test_variants_are_replayed_trained_and_compared(commands: Commands, copy: Callable[[], Made]) -> None:
    made = copy()
    variants = (" ".join(THRESHOLDS), "filter.privacy.on=false")
    ended = commands.run("ablate", made.settings, *variants, "--seeds", 2, "--set", "train.steps=4", seconds=200)
    assert ended.code == 0, ended.err
    assert f"run-variant-1: decided again from the measures of {made.run}" in ended.err
    assert "every page again, because [filter.privacy] differs" in ended.err

    result = json.loads((made.run / "ablation.json").read_text())
    scores, found = result["bits_per_byte"], result["differences"]
    for name in ("run-variant-1", "run-variant-2"):
        pairs = [one - other for one, other in zip(scores[name], scores["run"], strict=True)]
        assert found[name]["mean"] == sum(pairs) / 2
        assert found[name]["low"] <= found[name]["mean"] <= found[name]["high"]
        assert f"ablate: {name}  {found[name]['mean']:+.4f} [" in ended.err
    assert (made.run / "ablation.svg").read_text().startswith("<svg")

    for number, changes in ((1, THRESHOLDS), (2, variants[1:])):
        variant, fresh = made.run.parent / f"run-variant-{number}", made.run.parent / f"fresh-{number}"
        config = settings.load(str(made.settings), [*" ".join(changes).split(), f'run.folder="{fresh}"'])
        for job in (ingest.main, curate.main):
            job(config, Engine())
        assert_same(contents(variant, FILTERED), contents(fresh, FILTERED))
    base, replayed = (set(contents_of(folder)) for folder in (made.run, made.run.parent / "run-variant-1"))
    assert base - replayed
    assert replayed - base

    again = commands.run("ablate", made.settings, *variants, "--seeds", 2, "--set", "train.steps=4")
    assert again.err.count("train: up to date") == 6


def contents_of(run: object) -> list[str]:
    """The ids of the filtered documents."""
    from pipeline.tables import read_rows

    folder = f"{run}/filtered"
    return [row["id"] for entry in read_manifest(folder).files for row in read_rows(f"{folder}/{entry.path}", ["id"])]


def test_a_variant_that_changes_the_model_is_refused(commands: Commands, copy: Callable[[], Made]) -> None:
    made = copy()
    ended = commands.run("ablate", made.settings, "train.steps=5")
    assert ended.code != 0
    assert "another [train] than the base" in ended.sentences[0]
    assert not (made.run.parent / "run-variant-1").exists()
