"""How good a text is, by a model that the user names: the probability of its good labels, 0 to 1.

Published fastText models of quality read a document as one line and nothing else is done to it, as DCLM does
(Li et al. 2024, `__label__hq`); models of `train-classifier` read it as they were taught.
"""

import math
from typing import Protocol

from pipeline import storage
from pipeline.errors import SettingError
from pipeline.filter.classifiers import Classifier, read_card
from pipeline.filter.config import QualityConfig
from pipeline.filter.reading import readable
from pipeline.model_files import load_fasttext, verified_model

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
        SettingError: it has no such labels.
        InputError: it is missing, or not the one that the settings name by hash.
        DataError: it is damaged.
    """
    return _FastText(config) if config.is_file else _Trained(config.model)


def model_sha256(config: QualityConfig) -> str:
    """What names the model in the fingerprint of a step."""
    if not config.is_file:
        return str(read_card(config.model, NAME)["sha256"])
    return storage.checksum(verified_model(config.model, config.sha256))[0]


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
