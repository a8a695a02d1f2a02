"""Classifiers: what the models see, how a model is checked, trained and turned into a decision."""

import json
import math
import random
import re
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.classifier_data import Example, clean_examples, clean_sentences, pieces_by_span, read_split
from jobs.classifier_scores import (
    area_under_curve,
    measure_decisions,
    shown,
    threshold_for_precision,
    threshold_for_recall,
    threshold_for_share,
)
from jobs.config import RunConfig
from jobs.curate import filter_step
from jobs.linear_training import Pieces, calibration_of, learn
from jobs.shipped_classifiers import NAMES
from jobs.train_classifier import Source, TrainingConfig, train
from pipeline.errors import DataError, InputError, SettingError
from pipeline.filter.classifiers import Classifier, Thresholds, read_card
from pipeline.filter.config import ClassifierConfig, FilterConfig
from pipeline.filter.decisions import MODELS, refusals
from pipeline.filter.guessing import likely_language
from pipeline.filter.linear import LinearModel, Weights, buckets_of, points_of
from pipeline.filter.reading import normalise, readable, sentences, with_signs
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
    assert len(sentences("A b. " * 1000)) == 1000


def test_area_under_curve_by_hand() -> None:
    assert area_under_curve([True, False, True, False], [0.9, 0.1, 0.4, 0.6]) == 0.75
    assert area_under_curve([True, False], [0.5, 0.5]) == 0.5
    assert threshold_for_precision([True, True, False, True], [0.9, 0.8, 0.7, 0.6], 1.0) == 0.8
    assert measure_decisions([True, True, False], [0.9, 0.1, 0.8], 0.5)["f1"] == 0.5


@pytest.mark.parametrize(
    ("scores", "share", "threshold"),
    [
        ([0.9, 0.5, 0.1, 0.0], 0.25, 0.501),  # one of four may reach it
        ([0.9, 0.5, 0.1, 0.0], 0.24, 0.901),  # none may
        ([1.0, 1.0], 0.0, 0.999),
        ([], 0.1, 0.0),
    ],
)
def test_threshold_for_share(scores: list[float], share: float, threshold: float) -> None:
    assert threshold_for_share(scores, share) == threshold


@pytest.mark.parametrize(("missed", "threshold"), [(0.0, 0.2), (0.25, 0.4), (0.49, 0.4), (0.99, 0.8)])
def test_threshold_for_recall(missed: float, threshold: float) -> None:
    assert threshold_for_recall([True, False, True, True, False, True], [0.8, 0.1, 0.4, 0.6, 0.9, 0.2], missed) == threshold  # fmt: skip


def test_labels_of_one_kind_have_no_area() -> None:
    row = measure_decisions([True, True], [0.9, 0.1], 0.5)
    assert (row["auc"], row["precision"], row["recall"]) == (None, 1.0, 0.5)
    assert shown(row["auc"]) == "–"
    assert shown(0.5) == "0.500"


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


@pytest.mark.parametrize("name", NAMES)
def test_shipped_models_are_small_whole_and_have_a_card(name: str) -> None:
    assert (Path(MODELS) / f"{name}.safetensors").stat().st_size < 2_000_000
    assert read_card(MODELS, name)["sha256"] in (Path(MODELS) / f"{name}.md").read_text()
    Classifier(MODELS, name)


@pytest.mark.parametrize("name", ["spam", "spam_short", "spam_lines"])
def test_another_threshold_makes_other_documents(tmp_path: Path, name: str) -> None:
    """The step "filter" is done again when a card changes, that of the model for messages too."""
    shutil.copytree(MODELS, tmp_path / "models")
    config = RunConfig(filter=FilterConfig(spam=ClassifierConfig(model=str(tmp_path / "models"))))
    before = filter_step(config).versions
    card = json.loads((tmp_path / f"models/{name}.json").read_text())
    card["thresholds"]["short"] += 0.01
    (tmp_path / f"models/{name}.json").write_text(json.dumps(card))
    after = filter_step(config).versions
    assert [key for key in before if before[key] != after[key]] == [f"{name} thresholds"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Wer soll das denn bezahlen?", "de"),
        ("@user @user Kann man so sehen, muss man aber nicht", "de"),
        ("Who is going to pay for that in the end?", ""),
        ("Qui va payer tout ça, et pour quoi ?", ""),
        ("Wie gaat dat allemaal betalen, en voor wie?", ""),
        ("河南人都骗你", "zh"),
        ("これは日本語の文です", ""),  # Chinese characters between kana
        ("هذا نص قصير جدا", "ar"),
        ("@user 123 !!", ""),
        ("", ""),
    ],
)
def test_likely_language(text: str, language: str) -> None:
    assert likely_language(text, ("ar", "de", "zh")) == language
    assert likely_language(text, ("short",)) == ""


def test_a_text_on_rights_passes_and_an_insult_does_not_where_only_templates_taught() -> None:
    toxicity = Classifier(MODELS, "toxicity")
    text = "Toda persona tiene derecho a la libertad de pensamiento, de conciencia y de religión"
    insult = "Odio a las mujeres, son todas unas putas de mierda"
    assert toxicity.score_message(text, "es") < 0.5 < toxicity.thresholds.short < toxicity.score_message(insult, "es")


def test_more_is_asked_in_the_strict_languages_of_a_card(tmp_path: Path) -> None:
    shutil.copytree(MODELS, tmp_path / "models")
    path = tmp_path / "models/toxicity.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"strict": {"es": 0.99}}))
    toxicity, text = Classifier(str(tmp_path / "models"), "toxicity"), "Odio a las mujeres"
    plain, strict = toxicity.score_message(text), toxicity.score_message(text, "es")
    assert plain > strict
    assert toxicity.score_message(text, "pt") == plain
    assert toxicity.judge(text, toxicity.thresholds.sentence, "es").whole == strict


def test_the_model_of_a_language_answers_for_it() -> None:
    toxicity, german = Classifier(MODELS, "toxicity"), Classifier(MODELS, "toxicity_de")
    assert {"ar", "de", "zh", "en"} <= set(toxicity.languages)
    text = "Ihr seid doch alle nur dumme Idioten und Lügner"
    score, plain = toxicity.score_message(text), german.model.score(text)
    assert plain > score > 0.5  # the German card asks for a higher score
    assert (score >= toxicity.thresholds.short) == (plain >= german.thresholds.short)
    assert [toxicity.score_message(text, "de"), *toxicity.score([text])] == [score] * 2
    assert toxicity.judge(text, 0.5, "de").whole == toxicity.judge(text, 0.5).whole == score
    assert toxicity.score_message(text, "en") == toxicity.model.score(text)


def test_a_line_of_ordinary_text_is_no_message() -> None:
    """Two models must agree; the one for lines moves its scores so that both have one threshold, and only takes back."""
    spam, short, lines = (Classifier(MODELS, name) for name in ("spam", "spam_short", "spam_lines"))
    advert = "WINNER!! You have won a £1000 cash prize. Call 09061701461 now to claim. Only 150p per msg"
    assert spam.score_message(advert) == short.model.score(advert) > spam.thresholds.short
    line = "The city council voted on Tuesday to spend $125,000 on new street lights for the 2019 season."
    assert short.model.score(line) >= spam.thresholds.short, "else it shows nothing"
    assert lines.model.score(line) < lines.thresholds.short
    assert spam.score_message(line) < spam.thresholds.short
    assert spam.thresholds.short == short.thresholds.short
    assert spam.languages == ("en",)


def test_signs_of_a_message() -> None:
    assert with_signs("Ring 09061701461 £5").split("\n")[1:] == ["ʬlengtha", "ʬphone", "ʬprice"]
    assert with_signs("x" * 500).split("\n")[1:] == ["ʬlengthi"]
    table = np.random.default_rng(5).integers(-127, 128, 4096).astype(np.int8)
    plain, signed = (LinearModel(Weights(table=table, scale=0.01, bias=0.0, signs=signs)) for signs in (False, True))
    assert signed.score("txt 80082") == plain.score(with_signs("txt 80082")) != plain.score("txt 80082")
    assert signed.score(" \n") == 0.0


def test_an_exchanged_model_is_an_error(tmp_path: Path) -> None:
    for name in ("spam.safetensors", "spam.json"):
        shutil.copy(Path(MODELS) / name, tmp_path / name)
    (tmp_path / "spam.safetensors").write_bytes((tmp_path / "spam.safetensors").read_bytes()[:-1])
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


@pytest.mark.parametrize("kind", ["fasttext", "linear"])
def test_training_is_deterministic_and_learns(
    labelled: Path, tmp_path: Path, kind: Literal["fasttext", "linear"]
) -> None:
    config = TrainingConfig(
        name="ads", kind=kind, sources=(Source(path=str(labelled), bad=("ad",)),), buckets=1000, max_features=2000, epochs=10, folds=2
    )  # fmt: skip
    first = train(config, str(tmp_path / "a"))
    second = train(config, str(tmp_path / "b"))
    assert first["sha256"] == second["sha256"]
    assert (tmp_path / "a/ads.md").read_bytes() == (tmp_path / "b/ads.md").read_bytes()
    assert first["heldout"]["rows"]["auc"] > 0.95
    scores = Classifier(str(tmp_path / "a"), "ads").score(["alpha buy beta", "alpha read beta", ""])
    assert scores[0] > 0.8 > 0.2 > scores[1]
    whole, *single = [row["auc"] for row in (first["heldout"]["rows"], first["cross_validated"]["rows"])]
    assert min(whole, *single) > 0.95


def test_clean_sentences_bound_the_threshold_of_their_language(labelled: Path, tmp_path: Path) -> None:
    """Sentences with the word of the ads ask more of their language; of one that has only other sentences, nothing."""
    rows = [
        {"text": f"alpha beta {'buy' if lang == 'deu' else 'read'} {'abcdefghij'[n // 10]}{'klmnopqrst'[n % 10]}" * 2, "lang": lang, "kind": kind}
        for lang in ("deu", "ita")
        for n in range(100)
        for kind in ("sentences", "words")
    ]  # fmt: skip
    path = tmp_path / "sentences.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    sentences = Source(path=str(path), bad=(), languages=("de", "it"))
    used, heldout = clean_sentences([sentences])
    assert len(used) + len(heldout) == 200
    assert {example.language for example in used} == {"de", "it"}
    assert not {example.text for example in used} & {example.text for example in heldout}
    card = train(
        TrainingConfig(
            name="ads", kind="linear", sources=(Source(path=str(labelled), bad=("ad",)),), buckets=1000, epochs=10, folds=2, unseen_sentences=(sentences,)
        ),
        str(tmp_path),
    )  # fmt: skip
    assert list(card["strict"]) == ["de"]
    assert card["strict"]["de"] > card["thresholds"]["short"]
    assert card["unseen_sentences"]["sentences"]["it"]["refused"] == 0
    assert "Refused of the sentences of sentences" in (tmp_path / "ads.md").read_text()


def test_near_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    rng = random.Random(3)
    letters = "abcdefghijklmnopqrstuvwxyz"
    rows = []
    for number in range(300):
        words = ["".join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(12)]
        for copy in range(3):  # other case, number, address, then one word more
            text = " ".join([*words, *(["indeed"] if copy == 2 else [])])
            rows.append({"text": f"{text.upper() if copy else text} {copy}", "label": "ad" if number % 2 else "note", "group": number})  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    split = read_split([Source(path=str(path), bad=("ad",))])
    first_words = [{example.text.lower().split()[0] for example in part} for part in (split.train, split.heldout)]
    assert not first_words[0] & first_words[1]
    assert len(first_words[1]) == pytest.approx(60, abs=25)
    assert (
        split.num_near + len(split.train) + len(split.heldout) == 2 * 300
    )  # the second copy of three is the first in another case


def test_marked_characters_teach_the_words() -> None:
    example = Example(source="set", language="en", text="Fine so far. You utter fool! Bye.", bad=True)
    marked = list(range(example.text.index("utter"), example.text.index("!")))
    pieces = [(piece.text.split(), piece.bad) for piece in pieces_by_span(example, {"spans": marked})]
    assert (["utter", "fool"], True) in pieces
    assert (["Fine", "so", "far."], False) in pieces
    assert (["You", "utter", "fool!"], True) in pieces


def test_linear_scores_by_hand() -> None:
    """A slow oracle: the distinct pieces in Python sets, summed one by one."""
    table = np.random.default_rng(5).integers(-127, 128, 4096).astype(np.int8)
    model = LinearModel(Weights(table=table, scale=0.01, bias=-0.5))
    text = "Two words\n\n and 你好 more, more more"
    whole, single = model.score_lines(text)
    for line, score in [(text, whole), *zip([line for line in text.split("\n") if line.strip()], single, strict=True)]:
        chosen = [int(table[bucket]) for bucket in set(buckets_of(points_of(line), 4096).tolist())]
        logit = -0.5 + 0.01 * sum(chosen) / len(chosen) ** 0.5
        assert score == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)
    assert model.score_lines(" \n ") == (0.0, [])
    assert [model.score_lines(text) for _ in range(3)] == [(whole, single)] * 3  # no state between texts


@given(st.text(max_size=80))
def test_every_text_has_a_score(text: str) -> None:
    model = LinearModel(Weights(table=np.full(64, 3, np.int8), scale=0.1, bias=0.0))
    whole, single = model.score_lines(text)
    assert all(0 <= score <= 1 for score in (whole, *single))


def test_damaged_weights_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "odd.safetensors").write_bytes(b"not weights")
    with pytest.raises(DataError, match="not a linear model"):
        Weights.read(str(tmp_path / "odd.safetensors"))
    weights = Weights(table=np.arange(-5, 5, dtype=np.int8), scale=0.25, bias=-1.5)
    (tmp_path / "good.safetensors").write_bytes(weights.to_bytes())
    read = Weights.read(str(tmp_path / "good.safetensors"))
    assert (read.table.tolist(), read.scale, read.bias, read.signs) == (weights.table.tolist(), 0.25, -1.5, False)


def test_calibration_by_hand() -> None:
    """With labels drawn by a known logistic curve, the curve comes back."""
    rng = np.random.default_rng(2)
    margins = rng.normal(size=20_000)
    bad = rng.random(20_000) < 1 / (1 + np.exp(-(3 * margins - 1)))
    assert calibration_of(margins, bad) == pytest.approx((3, -1), abs=0.15)


def test_a_contrast_favours_the_pieces_that_labels_part() -> None:
    """Of two pieces as frequent as each other, the one that only bad texts have gets the larger part of the margin."""
    pieces = Pieces(starts=np.arange(0, 41, 2), buckets=np.array([[i % 2, 2 + i % 4 // 2] for i in range(20)], np.int32).ravel())  # fmt: skip
    bad = np.arange(20) % 2 == 1
    rows, costs = np.arange(20), np.ones(20)
    plain, sharp = (
        learn(pieces, rows, bad, costs, num_buckets=4, epochs=20, seed=1, contrast=contrast) for contrast in (0, 1)
    )
    assert abs(sharp.weights[2:]).max() < 1e-9 < abs(plain.weights[2:]).max()
    assert sharp.weights[1] > 0 > sharp.weights[0]


def test_only_some_languages_of_a_set(tmp_path: Path) -> None:
    rng = random.Random(4)
    rows = [
        {"text": " ".join(["".join(rng.choices("abcdefgh", k=7)) for _ in range(6)]), "label": label, "lang": lang}
        for label in ("ad", "note") * 30
        for lang in ("de", "en")
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    split = read_split([Source(path=str(path), bad=("ad",), languages=("de",))])
    assert {example.language for example in (*split.train, *split.heldout)} == {"de"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "a/b"}, "NAME is 'a/b'"),  # its files would lie elsewhere
        ({"name": ""}, "NAME is ''"),
        ({"seed": -1}, "seed is -1; allowed is 0 to"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; allowed is 1e-06 to 5"),
        ({"epochs": 0}, "epochs is 0; allowed is 1 to 10000"),
        ({"dimensions": 10**8}, "dimensions is 100000000; allowed is 1 to 1000"),
        ({"clean_every": 0}, "clean_every is 0"),
        ({"folds": 1}, "folds is 1; allowed is 2 to 100"),
        ({"contrast": 3, "kind": "linear"}, "contrast is 3; allowed is 0 to 2"),
        ({"max_clean_refused": 1}, "max_clean_refused is 1; allowed is 0 to 1, 1 excluded"),
    ],
)
def test_settings_of_a_training_out_of_range(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=re.escape(said)):
        TrainingConfig(**{"name": "ads", "sources": (Source(path="x", bad=("ad",)),), **changes})


def test_clean_texts_need_their_fields(labelled: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text('{"text": "x", "lang": "en"}\n{"text": "y", "lang": null}\n{"lang": "en"}\n')
    odd = Source(path=str(path), bad=(), languages=("en",))
    with pytest.raises(InputError, match="record 2 lacks a `lang`"):
        clean_sentences([odd])
    with pytest.raises(InputError, match="record 3 lacks a `text`"):
        list(clean_examples(odd, 9))


def test_training_needs_labels_of_both_kinds(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no record has the label nothing; its labels are ad, note"):
        train(TrainingConfig(name="ads", sources=(Source(path=str(labelled), bad=("nothing",)),)), str(tmp_path))
    with pytest.raises(InputError, match="both"):
        train(TrainingConfig(name="ads", sources=(Source(path=str(labelled), bad=("ad", "note")),)), str(tmp_path))
    (tmp_path / "odd.jsonl").write_text('{"text": "x", "label": "ad"}\n{"body": "x"}\n')
    with pytest.raises(InputError, match="record 2 lacks"):
        train(
            TrainingConfig(name="ads", sources=(Source(path=str(tmp_path / "odd.jsonl"), bad=("ad",)),)), str(tmp_path)
        )


@pytest.mark.parametrize(
    ("name", "there", "part"),
    [
        ("ads", {"ads.json": '[{"text": "mine"}]'}, "ads.json is there and of no earlier model"),
        ("README", {"README.md": "mine"}, "README.md is there and of no earlier model"),
        ("input", {}, "input.json would replace the input"),
        ("../ads", {}, "NAME is '../ads'"),
        ("", {}, "NAME is ''"),
    ],
)
def test_a_model_is_written_over_nothing_but_an_earlier_one(
    name: str, there: dict[str, str], part: str, tmp_path: Path
) -> None:
    labelled = tmp_path / "input.json"
    files = {"input.json": '{"text": "buy", "label": "ad"}', **there}
    for file, content in files.items():
        (tmp_path / file).write_text(content)
    with pytest.raises(SettingError, match=re.escape(part)):
        train(TrainingConfig(name=name, sources=(Source(path=str(labelled), bad=("ad",)),)), str(tmp_path))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files
