"""Classifiers: what the models see, how a model is checked, trained and turned into a decision."""

import json
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.classifier_scores import area_under_curve, measure_decisions, threshold_for_precision
from jobs.train_classifier import Source, TrainingConfig, train
from pipeline.errors import DataError, InputError
from pipeline.filter.classifiers import MAX_SENTENCES, Classifier, Thresholds, normalise, read_card, readable, sentences
from pipeline.filter.config import ClassifierConfig, FilterConfig
from pipeline.filter.decisions import MODELS, refusals
from pipeline.filter.stage import ClassifyDocuments
from pipeline.records import Document, Rejection
from tests.filter.conftest import document

MAIL = """From: someone <someone@example.org>
Received: from a by b
Subject: =?utf-8?b?SGVsbG8=?=
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: base64

PGh0bWw+PHN0eWxlPngge308L3N0eWxlPjxiPkZyZWU8L2I+ICZhbXA7IGNoZWFwPC9odG1sPg==
"""


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Hello, WORLD!", "hello , world !"),
        ("@you RT: see https://t.co/x", "user : see url"),
        ("call 0800 123456", "call 0000 000000"),
        ("sooooo!!!! &amp; \u200b", "soo ! ! & \u200b"),
        ("你好", "你 好"),
        ("a\nb\ud800", "a b ?"),
    ],
)
def test_what_a_model_sees(text: str, seen: str) -> None:
    assert normalise(text) == seen


@given(st.text(max_size=60))
def test_what_a_model_sees_is_one_line(text: str) -> None:
    assert "\n" not in normalise(text)


def test_mail_is_read_as_a_person_would() -> None:
    assert readable(MAIL).split() == ["Hello", "Free", "&", "cheap"]
    assert readable("Dear all:\n\nNo header here.") == "Dear all:\n\nNo header here."


def test_sentences() -> None:
    assert sentences("One. Two!\nThree 你好。再见") == ["One.", "Two!", "Three 你好。", "再见"]
    assert len(sentences("word " * 100)) == 3
    assert len(sentences("A b. " * 1000)) == MAX_SENTENCES


def test_area_under_curve_by_hand() -> None:
    assert area_under_curve([True, False, True, False], [0.9, 0.1, 0.4, 0.6]) == 0.75
    assert area_under_curve([True, False], [0.5, 0.5]) == 0.5
    assert threshold_for_precision([True, True, False, True], [0.9, 0.8, 0.7, 0.6], 1.0) == 0.8
    assert measure_decisions([True, True, False], [0.9, 0.1, 0.8], 0.5)["f1"] == 0.5


@pytest.mark.parametrize(
    ("score", "share", "number", "reason"),
    [
        (0.95, 0.0, 1.0, "spam.bad_short_text"),
        (0.85, 1.0, 2.0, None),
        (0.95, 0.1, 9.0, None),  # a few bad sentences
        (0.95, 0.6, 9.0, "spam.bad_text"),
        (0.3, 0.9, 9.0, None),  # the whole is not
        (None, None, None, None),
        (float("nan"), float("nan"), float("nan"), None),
    ],
)
def test_decisions(score: float | None, share: float | None, number: float | None, reason: str | None) -> None:
    limits = {"spam": Thresholds(short=0.9, whole=0.5, sentence=0.9, share=0.5)}
    found = list(refusals({"spam_score": score, "spam_sentence_share": share, "spam_sentences": number}, limits))
    assert [failure.rule.reason for failure in found] == ([reason] if reason else [])


@pytest.mark.parametrize("name", ["spam", "toxicity"])
def test_shipped_models_are_small_whole_and_have_a_card(name: str) -> None:
    assert (Path(MODELS) / f"{name}.ftz").stat().st_size < 2_000_000
    assert read_card(MODELS, name)["sha256"] in (Path(MODELS) / f"{name}.md").read_text()
    Classifier(MODELS, name)


def test_an_exchanged_model_is_an_error(tmp_path: Path) -> None:
    for name in ("spam.ftz", "spam.json"):
        shutil.copy(Path(MODELS) / name, tmp_path / name)
    (tmp_path / "spam.ftz").write_bytes((tmp_path / "spam.ftz").read_bytes()[:-1])
    with pytest.raises(DataError, match="not the model of its card"):
        Classifier(str(tmp_path), "spam")
    (tmp_path / "spam.json").write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        Classifier(str(tmp_path), "spam")


def test_spam_and_ordinary_text_out_of_the_box() -> None:
    judge = ClassifyDocuments(FilterConfig())
    spam = judge.judge(
        document(
            "WINNER!! You have won a £1000 cash prize. Call 09061701461 now to claim. Txt STOP to end. Only 150p per msg"
        )
    )
    assert isinstance(spam, Rejection)
    assert spam.reason.startswith("spam.")
    kept = judge.judge(document("Shall we meet at the station at eight? I will bring the book that you lent me."))
    assert isinstance(kept, Document)
    assert set(kept.measures) == set(judge.measures)


def test_a_language_without_a_model_is_not_judged() -> None:
    kept = ClassifyDocuments(FilterConfig()).judge(document("Nkosi sikelel' iAfrika", "xh"))
    assert isinstance(kept, Document)
    assert kept.measures["toxicity_score"] != kept.measures["toxicity_score"]


def test_a_classifier_can_be_off() -> None:
    judge = ClassifyDocuments(FilterConfig(spam=ClassifierConfig(on=False)))
    judge.setup()
    assert set(judge._models) == {"toxicity"}


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Two kinds of text that differ in one word."""
    rng = random.Random(7)
    rows = []
    for number in range(400):
        words = [rng.choice(["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]) for _ in range(8)]
        rows.append(
            {
                "text": " ".join([*words, "buy" if number % 2 else "read", str(number)]),
                "label": "ad" if number % 2 else "note",
            }
        )
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_training_is_deterministic_and_learns(labelled: Path, tmp_path: Path) -> None:
    config = TrainingConfig(
        name="ads", sources=(Source(path=str(labelled), bad=("ad",)),), buckets=1000, max_features=2000, epochs=10
    )
    first = train(config, str(tmp_path / "a"))
    second = train(config, str(tmp_path / "b"))
    assert first["sha256"] == second["sha256"]
    assert (tmp_path / "a/ads.md").read_bytes() == (tmp_path / "b/ads.md").read_bytes()
    assert first["heldout"]["rows"]["auc"] > 0.95
    scores = Classifier(str(tmp_path / "a"), "ads").score(["alpha buy beta", "alpha read beta", ""])
    assert scores[0] > 0.8 > 0.2 > scores[1]


def test_training_needs_labels_of_both_kinds(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="both"):
        train(TrainingConfig(name="ads", sources=(Source(path=str(labelled), bad=("nothing",)),)), str(tmp_path))
    (tmp_path / "odd.jsonl").write_text('{"body": "x"}\n')
    with pytest.raises(InputError, match="lacks"):
        train(
            TrainingConfig(name="ads", sources=(Source(path=str(tmp_path / "odd.jsonl"), bad=("ad",)),)), str(tmp_path)
        )
