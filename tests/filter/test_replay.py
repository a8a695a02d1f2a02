"""Replay: deciding again from stored measures equals deciding again from texts."""

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.replay import Rulebook, check_replayable, replay
from pipeline.errors import SettingError
from pipeline.filter.classifiers import read_card
from pipeline.filter.config import C4Config, FilterConfig, GopherQualityConfig
from pipeline.filter.decisions import MODELS
from pipeline.filter.stage import ClassifyDocuments, filter_judges
from pipeline.manifests import Manifest, write_manifest
from pipeline.records import Document, Rejection
from pipeline.stage import JudgeShard, Outputs
from pipeline.steps import Shard
from tests.filter.conftest import document

SENTENCES = (
    "The old house stood near a river, and its owner used to walk there with his dog in every season.",
    "Nobody in our village could say when the mill had been built or who had first lived in it.",
    "When spring came, children brought flowers to the bridge that leads over to the market place.",
    "My grandmother told us that ships once sailed as far up as these meadows, loaded with salt.",
    "In summer the water was so low that we have crossed it on foot without taking off a shoe.",
    "A schoolmaster wrote all of this down, with dates and names, in a book that was never printed.",
    "It is kept in a wooden box at the town hall, and visitors may read it on Thursday mornings.",
)


def texts() -> list[Document]:
    """Forty documents: of none to seven sentences, some with one that repeats."""
    found = []
    for number in range(40):
        body = "\n".join((SENTENCES + SENTENCES)[number % 7 : number % 7 + number % 8])
        found.append(replace(document(f"{body}\n{'Again and again. ' * (number % 3)}"), id=f"{number:032d}"))
    return found


def run(folder: Path, config: FilterConfig) -> int:
    """Judges the texts into `folder`/measures and returns how many are kept."""
    worker = JudgeShard(
        read=read, judges=filter_judges(config), kept="filtered", rejected="rejected", measures="measures"
    )
    worker.setup()
    outputs = Outputs(str(folder), "part-0")
    counts = worker.process(Shard(name="part-0", work=None), outputs)
    entries = outputs.receipt(counts).files["measures"]
    target = str(folder / "measures")
    write_manifest(
        target, Manifest(kind="measures", fingerprint="", files=tuple(entry.relative_to(target) for entry in entries))
    )
    return counts["kept"]


def read(shard: Shard) -> list[Document]:
    """The documents of the only shard."""
    return texts()


@pytest.mark.parametrize("min_words", [1, 20, 60, 500])
def test_replay_equals_a_new_run(tmp_path: Path, min_words: int) -> None:
    before = FilterConfig()
    after = FilterConfig(gopher_quality=GopherQualityConfig(min_words=min_words))
    kept_before, kept_after = run(tmp_path / "a", before), run(tmp_path / "b", after)
    assert 0 < kept_before < 40
    assert kept_after != kept_before
    outcome = replay(str(tmp_path / "a/measures"), Rulebook.of(before), Rulebook.of(after))
    assert (outcome.documents, outcome.kept_before, outcome.kept_after) == (40, kept_before, kept_after)
    assert outcome.kept_after == outcome.kept_before + outcome.gained - outcome.lost
    assert "gopher_quality.too_few_words" in outcome.table()


def test_replay_has_the_thresholds_of_a_run() -> None:
    """Those for messages too, which stand in the card of another model."""
    judge = ClassifyDocuments(FilterConfig())
    judge.setup()
    thresholds = {name: model.thresholds for name, model in judge._models.items()}
    assert Rulebook.of(FilterConfig()).classifiers == thresholds
    assert thresholds["spam"].short == read_card(MODELS, "spam_short")["thresholds"]["short"]


def test_unique_effect_is_what_leaving_a_rule_out_gains(tmp_path: Path) -> None:
    config = FilterConfig()
    run(tmp_path, config)
    for rule in ("gopher_quality.too_few_words", "gopher_repetition.frequent_2_gram"):
        outcome = replay(str(tmp_path / "measures"), Rulebook.of(config), Rulebook.of(replace(config, off=(rule,))))
        assert outcome.gained == outcome.effects[rule].unique_before


@pytest.mark.parametrize(
    "after",
    [
        FilterConfig(dialect="dolma"),
        FilterConfig(languages=("en",)),
        FilterConfig(sets=("c4",)),
        FilterConfig(c4=C4Config(min_words_per_line=4)),
    ],
)
def test_what_needs_the_texts_is_refused(after: FilterConfig) -> None:
    with pytest.raises(SettingError, match="replay"):
        check_replayable(FilterConfig(), after)


def test_rules_of_c4_can_be_added_where_it_edits_nothing() -> None:
    check_replayable(FilterConfig(), FilterConfig(sets=("c4",), c4=C4Config(edit_text=False)))


def test_measures_of_refused_documents_are_complete(tmp_path: Path) -> None:
    verdicts = [filter_judges(FilterConfig())[0].judge(each) for each in texts()]
    assert all(verdict.measures for verdict in verdicts)
    assert any(isinstance(verdict, Rejection) for verdict in verdicts)
