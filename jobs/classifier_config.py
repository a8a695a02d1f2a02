"""Settings of `train-classifier`."""

from dataclasses import dataclass
from typing import Literal

from jobs.classifier_data import Source
from pipeline.errors import SettingError


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
        if not 0 <= self.min_precision < 1:
            raise SettingError(f"min_precision is {self.min_precision}; allowed is 0 to 1, 1 excluded")
        if not 0 <= self.max_missed < 1:
            raise SettingError(f"max_missed is {self.max_missed}; allowed is 0 to 1, 1 excluded")
        if not 0 <= self.max_sentences_refused < 1:
            raise SettingError(f"max_sentences_refused is {self.max_sentences_refused}; allowed is 0 to 1, 1 excluded")
        if self.kind != "linear" and (self.contrast or self.signs):
            raise SettingError(f"contrast and signs are for kind linear; kind is {self.kind}")
        if not 0 <= self.contrast <= 2:
            raise SettingError(f"contrast is {self.contrast}; allowed is 0 to 2")
        if self.folds < 2:
            raise SettingError(f"folds is {self.folds}; allowed is 2 or more")
        if not 1 <= self.buckets <= 1 << 31:
            raise SettingError(f"buckets is {self.buckets}; allowed is 1 to {1 << 31}")
