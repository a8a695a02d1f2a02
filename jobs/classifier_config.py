"""Settings of `train-classifier`."""

from dataclasses import dataclass
from typing import Literal

from jobs.classifier_data import Source
from pipeline.errors import SettingError

# The least and the most of each number; NaN is in no range.
_RANGES: dict[str, tuple[float, float]] = {
    "clean_documents": (0, 1 << 31),
    "clean_every": (1, 1 << 31),
    "folds": (2, 100),
    "epochs": (1, 10_000),
    "buckets": (1, 1 << 31),
    "contrast": (0, 2),
    "learning_rate": (1e-6, 5),
    "dimensions": (1, 1000),
    "word_ngrams": (1, 10),
    "min_char_ngram": (0, 100),
    "max_char_ngram": (0, 100),
    "max_features": (1, 1 << 31),
    "max_repeats": (1, 10_000),
    "seed": (0, (1 << 31) - 1),
}
_SHARES = ("min_precision", "max_missed", "max_sentences_refused", "max_clean_refused")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a classifier is trained."""

    name: str
    sources: tuple[Source, ...]
    # fastText, or a linear model over hashed pieces of words: smaller and better where there is little to learn from.
    kind: Literal["fasttext", "linear"] = "fasttext"
    # Files of clean documents, and how many documents of each are used.
    clean: tuple[Source, ...] = ()
    clean_documents: int = 300
    # Of each clean document its whole and every so-many-th sentence are good examples.
    clean_every: int = 4
    languages: tuple[str, ...] = ()
    # Thresholds and calibration come from scores that models trained on the other folds give.
    folds: int = 4
    epochs: int = 6
    # Buckets for hashed pieces. A linear model has a byte for each.
    buckets: int = 200_000
    # Only linear. The power of the log-count ratio by which pieces are weighted; whether a text is read with its signs.
    contrast: float = 0.0
    signs: bool = False
    # Only fastText. `max_features` bounds the size of the model: about 18 bytes each.
    learning_rate: float = 0.3
    dimensions: int = 16
    word_ngrams: int = 2
    min_char_ngram: int = 0
    max_char_ngram: int = 0
    max_features: int = 80_000
    max_repeats: int = 8
    # The threshold for short texts is the lowest with this precision; 0 takes the one with the best F1.
    min_precision: float = 0.95
    # Where this is not 0, it is the highest threshold instead under which at most this share of the bad texts stays: for a
    # model that is only asked besides another.
    max_missed: float = 0.0
    # Files of clean sentences with their language: good examples.
    sentences: tuple[Source, ...] = ()
    # The same, but never trained on, since what is learned of one file's sentences flatters the score of its others. In
    # each language the threshold is at least so high that at most this share is refused; a fifth is held out from that.
    unseen_sentences: tuple[Source, ...] = ()
    max_sentences_refused: float = 0.005
    # Thresholds for documents are set so that at most this share of clean ones is refused.
    max_clean_refused: float = 0.001
    seed: int = 1
    # The command that trains it again, for the card.
    command: str = ""

    def __post_init__(self) -> None:
        if not self.sources:
            raise SettingError("train-classifier needs at least one --input")
        if self.kind not in ("fasttext", "linear"):
            raise SettingError(f"kind is {self.kind!r}; allowed are fasttext, linear")
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise SettingError(f"NAME is {self.name!r}; allowed is what may begin the name of a file, without a folder")
        for setting in _SHARES:
            if not 0 <= getattr(self, setting) < 1:
                raise SettingError(f"{setting} is {getattr(self, setting)}; allowed is 0 to 1, 1 excluded")
        for setting, (least, most) in _RANGES.items():
            if not least <= getattr(self, setting) <= most:
                raise SettingError(f"{setting} is {getattr(self, setting)}; allowed is {least} to {most}")
        if self.kind != "linear" and (self.contrast or self.signs):
            raise SettingError(f"contrast and signs are for kind linear; kind is {self.kind}")
