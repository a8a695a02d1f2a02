"""Classifiers of ours: a text in, the probability of the bad label out.

A model is a folder entry of three files that the `train-classifier` job writes together: the weights
(`NAME.safetensors` of a linear model, `NAME.ftz` of a quantised fastText one), `NAME.json` (its kind, hash, label,
thresholds, what it was measured at) and `NAME.md` (the card, for people). The hash is checked when the model is
loaded, so a truncated or exchanged file is an error, not another opinion.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from pipeline import storage
from pipeline.errors import DataError, InputError
from pipeline.filter.guessing import likely_language
from pipeline.filter.linear import LinearModel, Weights
from pipeline.filter.reading import is_message, normalise, readable, sentences
from pipeline.places import is_local, join, on_disk

MAX_FASTTEXT_SENTENCES = 128
SUFFIXES = {"linear": "safetensors", "fasttext": "ftz"}
LABEL = "bad"
SHORT = "short"
LINES = "lines"
# What a model's name ends with that answers for a part of the texts: `likely_language` tells these languages.
_SPECIALISTS = (SHORT, LINES, "ar", "de", "zh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When a document is bad.

    A short one (at most two sentences) if its score reaches `short`. A longer one if its score
    reaches `whole` and at least `share` of its sentences reach `sentence`.
    """

    short: float
    whole: float
    sentence: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a classifier says of a document: of the whole, and the share of its sentences that are bad."""

    whole: float
    bad_share: float
    num_sentences: int


class Model(Protocol):
    """What scores plain texts, of whatever kind."""

    def score(self, text: str) -> float:
        """The probability of the bad label for one text."""

    def score_pieces(self, text: str) -> tuple[float, list[float]]:
        """The probabilities for a text and for each of its sentences."""


class LinearScorer:
    """A linear model: the whole and every sentence come from one pass, unless each is read with its signs."""

    def __init__(self, weights: Weights) -> None:
        self._model = LinearModel(weights)

    def score(self, text: str) -> float:
        """The probability of the bad label for one text."""
        return self._model.score(text)

    def score_pieces(self, text: str) -> tuple[float, list[float]]:
        """The probabilities for a text and for each of its sentences."""
        if self._model.signs:
            return self.score(text), [self.score(sentence) for sentence in sentences(text)]
        return self._model.score_lines("\n".join(sentences(text)))


class FastTextScorer:
    """A two-class fastText model. Of a text with many sentences it reads an even sample."""

    def __init__(self, path: str) -> None:
        import fasttext  # a second to import, and only workers with such a model need it

        self._model = fasttext.load_model(path)

    def score(self, text: str) -> float:
        """The probability of the bad label for one text."""
        return self._score([text])[0]

    def score_pieces(self, text: str) -> tuple[float, list[float]]:
        """The probabilities for a text and for each of its sentences."""
        whole, *single = self._score([text, *evenly(sentences(text), MAX_FASTTEXT_SENTENCES)])
        return whole, single

    def _score(self, texts: Sequence[str]) -> list[float]:
        labels, values = self._model.predict([normalise(text) for text in texts], k=2)
        return [_probability(*found) for found in zip(labels, values, strict=True)]


@dataclass(frozen=True, slots=True)
class _Moved:
    """A model whose scores are moved, in logits, so that `own` becomes `wanted`."""

    model: Model
    own: float
    wanted: float

    def score(self, text: str) -> float:
        """The moved probability of the bad label for one text."""
        return self._moved(self.model.score(text))

    def score_pieces(self, text: str) -> tuple[float, list[float]]:
        """The moved probabilities for a text and for each of its sentences."""
        whole, single = self.model.score_pieces(text)
        return self._moved(whole), list(map(self._moved, single))

    def _moved(self, score: float) -> float:
        odds = self.wanted * (1 - self.own) / ((1 - self.wanted) * self.own)
        return round(odds * score / (1 - score + odds * score), 6)


def evenly(pieces: Sequence[str], limit: int) -> Sequence[str]:
    """All pieces, or `limit` of them evenly spread."""
    if len(pieces) <= limit:
        return pieces
    return [pieces[position * len(pieces) // limit] for position in range(limit)]


def _probability(labels: Sequence[str], values: Sequence[float]) -> float:
    """fastText lets a probability exceed 1 by rounding, and an empty text has none."""
    for label, value in zip(labels, values, strict=True):
        if label == f"__label__{LABEL}":
            return min(1.0, max(0.0, float(np.float32(value)))) if not math.isnan(value) else 0.0
    return 0.0


def judge_with(model: Model, text: str, sentence_score: float) -> Scores:
    """Scores of a document, whole and by sentence."""
    whole, single = model.score_pieces(text)
    bad = sum(score >= sentence_score for score in single)
    return Scores(whole=whole, bad_share=bad / len(single) if single else 0.0, num_sentences=len(single))


class Classifier:
    """A loaded model with its card. Not to be pickled: load it where it is used.

    Messages and documents are different kinds of text: where the folder also holds `NAME_short`, that model
    answers for messages (see `is_message`), and its threshold is the one for short texts. As a line of ordinary text is as short as
    a message, `NAME_lines` is asked besides where it is there: the lower score counts. `NAME_de` answers for
    German texts, and so on; its scores are moved so that its own threshold for short texts falls on that of NAME.
    So are those of languages for which the card is `strict`.
    """

    def __init__(self, folder: str, name: str) -> None:
        self.card = read_card(folder, name)
        path = _checked(folder, name, self.card)
        self.model: Model = (
            FastTextScorer(path) if kind_of(self.card) == "fasttext" else LinearScorer(Weights.read(path))
        )
        self.thresholds = read_thresholds(folder, name)
        self._beside = {
            beside.removeprefix(f"{name}_"): Classifier(folder, beside) for beside in models_beside(folder, name)
        }

    @property
    def languages(self) -> tuple[str, ...]:
        """Those of its card and of the models beside it."""
        return tuple(self.card["languages"]) + tuple(code for code in self._beside if code not in (SHORT, LINES))

    def score(self, texts: Sequence[str]) -> list[float]:
        """The probability of the bad label for each text, 0 to 1. The order of the texts changes nothing."""
        return [self.score_message(text) for text in texts]

    def score_message(self, text: str, language: str = "") -> float:
        """The probability for one text as a whole: of a message by the model for messages, of an e-mail by that for documents."""
        plain = readable(text)
        if self._is_message(text, plain):
            return self._score_short(plain)
        return self._model_for(plain, language).score(plain)

    def judge(self, text: str, sentence_score: float, language: str = "") -> Scores:
        """Scores of a document, whole and by sentence; an e-mail or a message is judged as a whole."""
        plain = readable(text)
        if plain == text and not self._is_message(text, plain):
            return judge_with(self._model_for(plain, language), plain, sentence_score)
        score = self.score_message(text, language)
        return Scores(whole=score, bad_share=float(score >= sentence_score), num_sentences=1)

    def _is_message(self, text: str, plain: str) -> bool:
        return SHORT in self._beside and plain == text and is_message(plain)

    def _score_short(self, plain: str) -> float:
        """The score of the model for messages; that of the one for lines, moved to the same threshold, if it is lower."""
        short = self._beside[SHORT]
        score, lines = short.model.score(plain), self._beside.get(LINES)
        if lines is None:
            return score
        return min(score, _Moved(lines.model, lines.thresholds.short, short.thresholds.short).score(plain))

    def _model_for(self, plain: str, language: str) -> Model:
        wanted, strict = float(self.card["thresholds"]["short"]), self.card.get("strict", {})
        known = self._beside.get(language or likely_language(plain, self._beside))
        if known is not None:
            return _Moved(known.model, known.thresholds.short, wanted)
        return _Moved(self.model, float(strict[language]), wanted) if language in strict else self.model


def kind_of(card: dict[str, Any]) -> str:
    """`linear` or `fasttext`, which is what a card without a kind means."""
    return str(card.get("kind", "fasttext"))


def models_beside(folder: str, name: str) -> tuple[str, ...]:
    """The models that answer in the place of `name`: for messages (`NAME_short`), for a language (`NAME_de`)."""
    if name.rpartition("_")[2] in _SPECIALISTS:
        return ()
    names = (f"{name}_{suffix}" for suffix in _SPECIALISTS)
    return tuple(each for each in names if storage.exists(join(folder, f"{each}.json")))


def read_thresholds(folder: str, name: str) -> Thresholds:
    """The thresholds of a model's card, those for short texts from the model for messages where there is one."""
    own = Thresholds(**read_card(folder, name)["thresholds"])
    short = f"{name}_{SHORT}"
    return replace(own, short=read_thresholds(folder, short).short) if short in models_beside(folder, name) else own


def read_card(folder: str, name: str) -> dict[str, Any]:
    """What `NAME.json` says of the model.

    Raises:
        DataError: it is damaged or lacks something.
    """
    path = join(folder, f"{name}.json")
    try:
        card = json.loads(storage.read_bytes(path))
        Thresholds(**card["thresholds"])
        _ = card["sha256"], SUFFIXES[kind_of(card)]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    return dict(card)


def _checked(folder: str, name: str, card: dict[str, Any]) -> str:
    """A local path of the model, whose hash is that of the card."""
    path = join(folder, f"{name}.{SUFFIXES[kind_of(card)]}")
    sha256, _ = storage.checksum(path)
    if sha256 != card["sha256"]:
        raise DataError(
            f"{path} is not the model of its card: SHA-256 {sha256[:12]}…, the card says {card['sha256'][:12]}…"
        )
    if not is_local(path):
        raise InputError(f"{path} is not on the local disk; copy the folder of the model there")
    return on_disk(path)
