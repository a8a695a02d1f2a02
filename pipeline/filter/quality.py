"""How good a text is, by a model that the user names: the probability of its good labels, 0 to 1, or the number of a regression.

Published fastText models of quality read a document as one line and nothing else is done to it, as DCLM does
(Li et al. 2024, `__label__hq`); models of `train-classifier` read it as they were taught. What a folder with a model of
`transformers` says is in `sequence_classifier`.
"""

import math
from typing import Protocol

from pipeline import storage
from pipeline.errors import InputError, SettingError
from pipeline.filter.classifiers import Classifier, read_card
from pipeline.filter.config import QualityConfig
from pipeline.filter.reading import readable
from pipeline.filter.sequence_classifier import PACKAGES, SequenceClassifier, folder_sha256, is_sequence_classifier
from pipeline.model_files import load_fasttext, verified_model
from pipeline.places import join

QUALITY_SCORE = "quality_score"
NAME = "quality"
_LABEL = "__label__"


class Scorer(Protocol):
    """What scores a text."""

    def score(self, text: str) -> float:
        """How good the text is."""


def load_scorer(config: QualityConfig) -> Scorer:
    """The model that the settings name.

    Raises:
        SettingError: it has no such labels, or a setting is for another kind of model.
        InputError: it is missing, or not the one that the settings name by hash; or a package is not installed.
        DataError: it is damaged.
    """
    if config.is_file:
        return _FastText(config)
    if is_sequence_classifier(config.model):
        return SequenceClassifier(config)
    check_trained(config)
    return _Trained(config.model)


def model_sha256(config: QualityConfig) -> str:
    """What names the model in the fingerprint of a step."""
    if config.is_file:
        return storage.checksum(verified_model(config.model, config.sha256))[0]
    if is_sequence_classifier(config.model):
        return folder_sha256(config.model)
    return str(read_card(config.model, NAME)["sha256"])


def model_packages(config: QualityConfig) -> tuple[str, ...]:
    """The packages whose versions reach a score, beyond those of every run."""
    return PACKAGES if config.model and not config.is_file and is_sequence_classifier(config.model) else ()


def check_trained(config: QualityConfig) -> None:
    """Nothing, if the settings fit a folder of `train-classifier`, whose card says labels and hash.

    Raises:
        InputError: the folder holds no such model.
        SettingError: a setting is for another kind of model.
    """
    if not storage.exists(join(config.model, f"{NAME}.json")):
        raise InputError(
            f"filter.quality.model is {config.model}, which holds neither a model of train-classifier ({NAME}.json) nor a sequence classifier "
            "(config.json, model.safetensors, tokenizer.json), and is no fastText file (.bin, .ftz)"
        )
    for name, value in (("labels", config.labels), ("sha256", config.sha256), ("max_tokens", config.max_tokens)):
        if value:
            raise SettingError(
                f"filter.quality.{name} is not for a folder of train-classifier ({config.model}), whose card says labels and hash; leave it out"
            )
    if not 0 <= config.min_score <= 1:
        raise SettingError(f"filter.quality.min_score is {config.min_score}; it is a probability, 0 to 1")


class _FastText:
    """A file of fastText: the sum over the good labels."""

    def __init__(self, config: QualityConfig) -> None:
        self._model = load_fasttext(config.model, config.sha256, setting="filter.quality.sha256")
        self._good = {_LABEL + label.removeprefix(_LABEL) for label in config.labels}
        known = set(self._model.get_labels())
        if unknown := sorted(label.removeprefix(_LABEL) for label in self._good - known):
            names = ", ".join(sorted(label.removeprefix(_LABEL) for label in known)[:20])
            raise SettingError(
                f"filter.quality.labels names {', '.join(unknown)}, which {config.model} does not have; its labels are {names}"
            )

    def score(self, text: str) -> float:
        """The probability of the good labels; 0 of an empty text."""
        line = " ".join(text.strip().splitlines()).encode("utf-8", "replace").decode()
        found = zip(*self._model.predict(line, k=-1), strict=True)
        score = math.fsum(float(value) for label, value in found if label in self._good)
        return round(min(1.0, max(0.0, score)), 6) if score == score else 0.0


class _Trained:
    """A model of `train-classifier`, which tells the probability of bad."""

    def __init__(self, folder: str) -> None:
        self._model = Classifier(folder, NAME).model

    def score(self, text: str) -> float:
        """The probability of good."""
        return round(1 - self._model.score(readable(text)), 6)
