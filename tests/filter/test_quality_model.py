"""`[filter.quality]`: anybody's fastText file, a model of train-classifier, and what is said of wrong ones."""

import hashlib
import json
import math
import random
from pathlib import Path

import fasttext
import pytest

from jobs import checks, cli, replay
from jobs.config import RunConfig
from jobs.curate import filter_step
from jobs.train_classifier import Source, TrainingConfig, train
from pipeline.errors import InputError, SettingError
from pipeline.filter.config import FilterConfig, QualityConfig
from pipeline.filter.quality import load_scorer
from pipeline.filter.stage import FilterDocuments
from pipeline.records import Document, Rejection
from tests import corpora
from tests.filter.conftest import document

GOOD = [
    "the",
    "proof",
    "of",
    "a",
    "theorem",
    "follows",
    "from",
    "the",
    "lemma",
    "on",
    "compact",
    "sets",
    "and",
    "measures",
]
POOR = ["click", "here", "now", "for", "amazing", "deals", "buy", "cheap", "best", "offer", "win"]


def texts(words: list[str], number: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(words, k=30)) for _ in range(number)]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fasttext")
    lines = [f"__label__hq {text}" for text in texts(GOOD, 100, 1)] + [f"__label__cc {text}" for text in texts(POOR, 100, 2)]  # fmt: skip
    (folder / "train.txt").write_text("\n".join(lines), "utf-8")
    model = fasttext.train_supervised(str(folder / "train.txt"), epoch=20, thread=1, dim=4, minCount=1)
    model.save_model(str(folder / "quality.bin"))
    return folder / "quality.bin"


def configured(model: Path, *labels: str, **more: object) -> FilterConfig:
    return FilterConfig(sets=(), quality=QualityConfig(model=str(model), labels=labels, **more))  # type: ignore[arg-type]


def test_a_published_file_scores_and_refuses(model_file: Path) -> None:
    judge = FilterDocuments(configured(model_file, "hq"))
    kept = judge.judge(document(texts(GOOD, 1, 3)[0]))
    assert isinstance(kept, Document)
    assert kept.measures["quality_score"] > 0.9
    refused = judge.judge(document(texts(POOR, 1, 3)[0].replace(" ", "\n", 3)))
    assert isinstance(refused, Rejection)
    assert (refused.reason, refused.threshold) == ("quality.low_score", 0.5)
    assert refused.value == refused.measures["quality_score"] < 0.1


def test_labels_add_up_and_may_be_written_in_full(model_file: Path) -> None:
    both = load_scorer(QualityConfig(model=str(model_file), labels=("__label__hq", "cc")))
    one = load_scorer(QualityConfig(model=str(model_file), labels=("cc",)))
    text = texts(GOOD + POOR, 1, 4)[0]
    assert both.score(text) == pytest.approx(1, abs=1e-4)
    assert 0 < one.score(text) < 1
    assert 0 <= one.score("") <= 1
    assert one.score("half \ud83d a pair") == one.score("half ? a pair")


def test_only_the_named_languages_are_scored(model_file: Path) -> None:
    judge = FilterDocuments(configured(model_file, "hq", languages=("de",)))
    kept = judge.judge(document(texts(POOR, 1, 3)[0], "en"))
    assert isinstance(kept, Document)
    assert math.isnan(kept.measures["quality_score"])
    assert isinstance(judge.judge(document(texts(POOR, 1, 3)[0], "de")), Rejection)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of `train-classifier` by the name of quality."""
    folder = tmp_path_factory.mktemp("trained")
    rows = [{"text": text, "label": label} for words, label in ((GOOD, "1"), (POOR, "0")) for text in texts(words, 200, 5)]  # fmt: skip
    corpora.write_jsonl(folder / "labelled.jsonl", rows)
    source = Source(path=str(folder / "labelled.jsonl"), bad=("0",))
    train(TrainingConfig(name="quality", sources=(source,), kind="linear", buckets=5000), str(folder))
    return folder


def test_a_model_of_ours_scores_good_not_bad(trained: Path) -> None:
    judge = FilterDocuments(configured(trained))
    kept = judge.judge(document(texts(GOOD, 1, 6)[0]))
    assert isinstance(kept, Document)
    assert kept.measures["quality_score"] > 0.9
    assert isinstance(judge.judge(document(texts(POOR, 1, 6)[0])), Rejection)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"labels": ("hq",)}, r"labels is not for a folder of train-classifier .*, whose card says labels"),
        ({"sha256": "0"}, r"sha256 is not for a folder"),
        ({"max_tokens": 9}, r"max_tokens is not for a folder"),
        ({"min_score": 1.5}, r"min_score is 1\.5; it is a probability, 0 to 1"),
    ],
)
def test_a_model_of_ours_takes_no_settings_of_others(trained: Path, settings: dict[str, object], sentence: str) -> None:
    config = QualityConfig(model=str(trained), **settings)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=sentence):
        load_scorer(config)
    with pytest.raises(SettingError, match=sentence):
        checks.check(RunConfig(filter=FilterConfig(quality=config)), ["curate"])


def test_another_model_makes_another_step(model_file: Path, trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(model_file.read_bytes() + b"\0")
    versions = [filter_step(RunConfig(filter=configured(path, "hq"))).versions for path in (model_file, other)]
    assert versions[0]["quality model"] != versions[1]["quality model"]
    assert "quality model" in filter_step(RunConfig(filter=configured(trained))).versions
    assert "quality model" not in filter_step(RunConfig()).versions


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": "m.bin"}, "labels is empty; name the labels of m.bin that are good"),
        ({"labels": ("hq",)}, "model is empty"),
        ({"model": "https://example.org/folder", "sha256": "0"}, "is a folder on the web"),
        ({"model": "m.bin", "labels": ("hq",), "max_tokens": 5}, "max_tokens is for sequence classifiers"),
        ({"model": "folder", "max_tokens": -1}, "max_tokens is -1; allowed is 0 or more"),
        ({"model": "folder", "min_score": math.nan}, "min_score is nan; allowed is any number"),
        ({"model": "m.bin", "labels": ("hq",), "min_score": 1.5}, "min_score is 1.5"),
        ({"model": "https://example.org/m.bin", "labels": ("hq",)}, "sha256 must say"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        QualityConfig(**settings)  # type: ignore[arg-type]


def test_wrong_models_are_refused_in_a_sentence(model_file: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"names best, which .* does not have; its labels are cc, hq"):
        load_scorer(QualityConfig(model=str(model_file), labels=("best",)))
    with pytest.raises(InputError, match=r"not the model that filter\.quality\.sha256 names"):
        load_scorer(QualityConfig(model=str(model_file), labels=("hq",), sha256="0" * 64))
    sha256 = hashlib.sha256(model_file.read_bytes()).hexdigest().upper()
    load_scorer(QualityConfig(model=str(model_file), labels=("hq",), sha256=sha256))
    nothing = tmp_path / "none.bin"
    with pytest.raises(InputError, match="no such file"):
        load_scorer(QualityConfig(model=str(nothing), labels=("hq",)))
    nothing.write_text("no model")
    with pytest.raises(InputError, match="is not a fastText model"):
        load_scorer(QualityConfig(model=str(nothing), labels=("hq",)))


def test_the_filter_at_a_shell(model_file: Path, tmp_path: Path) -> None:
    source = corpora.write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in (*texts(GOOD, 2, 7), *texts(POOR, 3, 7))])  # fmt: skip
    out = tmp_path / "out.jsonl"
    settings = [f'filter.quality.model="{model_file}"', 'filter.quality.labels=["hq"]', "filter.sets=[]"]
    arguments = [word for each in settings for word in ("--set", each)]
    assert cli.main(["filter", str(source), str(out), *arguments]) == 0
    assert len(out.read_text("utf-8").splitlines()) == 2
    refused = [json.loads(line) for line in (tmp_path / "out.rejected.jsonl").read_text("utf-8").splitlines()]
    assert [row["reason"] for row in refused] == ["quality.low_score"] * 3


def test_the_threshold_can_be_replayed_and_the_model_cannot(model_file: Path) -> None:
    before = configured(model_file, "hq")
    stricter = configured(model_file, "hq", min_score=0.99)
    replay.check_replayable(before, stricter)
    assert replay.Rulebook.of(stricter).failing({"quality_score": 0.9}) == ["quality.low_score"]
    assert replay.Rulebook.of(before).failing({"quality_score": 0.9}) == []
    assert replay.Rulebook.of(FilterConfig(sets=())).failing({"quality_score": 0.0}) == []
    with pytest.raises(SettingError, match=r"filter\.quality\.labels cannot be replayed"):
        replay.check_replayable(before, configured(model_file, "cc"))
