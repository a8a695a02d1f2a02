"""Language identification of a document, and the share of each language by paragraph.

Codes are ISO 639-1 where there is one, else ISO 639-3. Text in which nothing can be recognised is
`und` with score 0. The answer depends on the text alone.

The default needs no download: py3langid (naive Bayes over byte n-grams, 140 languages) for texts of a paragraph or more,
and for shorter ones its probabilities times those of a small model of ours (`short_text.card.md`).
"""

import hashlib
import math
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple, Protocol

from pipeline.errors import DataError
from pipeline.extract.config import LanguageConfig
from pipeline.language_codes import codes_of_labels
from pipeline.model_files import load_fasttext

UNDETERMINED = "und"
_NUM_PIECES = 5
_MIN_PARAGRAPH_LETTERS = 20
_PARAGRAPH_CHARS = 200
_SPACE_NEAR = 40
_LETTER = re.compile(r"[^\W\d_]")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|\S{1,64}@\S+\.\S+")
_ADDRESS_MARKS = ("://", "www.", "@")
_SHORT_CHARS = 120
SHORT_TEXT_MODEL = Path(__file__).with_name("short_text.ftz")
_SHORT_TEXT_SHA256 = Path(__file__).with_name("short_text.sha256.txt")
# The weight of a language that the model of short texts was not taught, and the least share that counts of the others.
# Its shares count as their square roots, since it is surer of itself than it is right.
_UNTAUGHT, _LEAST = 0.2, 1e-4
_CANDIDATES = 12
_NO_LANGUAGE = frozenset(("zxx", "mul", "mis", "und"))
_LABEL = "__label__"


class Identified(NamedTuple):
    """A language and how certain it is, 0..1."""

    language: str
    score: float


class Identifier(Protocol):
    """What tells the language of one piece of text. `known` are the codes that it can answer, `und` apart."""

    known: frozenset[str]

    def identify(self, text: str) -> Identified:
        """The language of a text without line ends."""
        ...


class LanguageFinder:
    """Finds languages with a loaded model; make it in `setup`, it does not pickle small."""

    short_chars = _SHORT_CHARS

    def __init__(self, config: LanguageConfig) -> None:
        self._sample_chars = config.sample_chars
        self._identifier = load_identifier(config)

    @property
    def known(self) -> frozenset[str]:
        """The codes that it can answer, `und` apart."""
        return self._identifier.known

    def of_document(self, text: str) -> Identified:
        """The language of a whole text, judged by pieces spread over it."""
        return self.of_line(sample(text, self._sample_chars))

    def of_line(self, text: str) -> Identified:
        """The language of a short text."""
        if any(mark in text for mark in _ADDRESS_MARKS):
            text = _ADDRESS.sub(" ", text)
        text = (
            " ".join(text.split()).encode("utf-8", "replace").decode()
        )  # halves of surrogate pairs are no text to any model
        if not _LETTER.search(text):
            return Identified(UNDETERMINED, 0.0)
        return self._identifier.identify(text)

    def shares(self, text: str, max_paragraphs: int = 0) -> dict[str, float]:
        """The share of the letters in paragraphs of each language, largest first.

        With `max_paragraphs`, so many paragraphs spread over a longer text stand for all; those too short to judge are left out.
        """
        letters: Counter[str] = Counter()
        paragraphs = _paragraphs(text)
        for paragraph in _spread(paragraphs, max_paragraphs or len(paragraphs)):
            letters[self.of_line(paragraph[:_PARAGRAPH_CHARS]).language] += len(paragraph)
        total = sum(letters.values())
        return {
            language: round(count / total, 4)
            for language, count in sorted(letters.items(), key=lambda item: (-item[1], item[0]))
        }


def _paragraphs(text: str) -> list[str]:
    return [line for line in text.split("\n") if len(line) >= _MIN_PARAGRAPH_LETTERS]


def _spread(items: list[str], limit: int) -> list[str]:
    if len(items) <= limit:
        return items
    return [items[index * len(items) // limit] for index in range(limit)]


def sample(text: str, num_chars: int) -> str:
    """About `num_chars` of `text` in pieces spread evenly over it, cut at spaces where there are some near."""
    if num_chars == 0 or len(text) <= num_chars:
        return text
    length = num_chars // _NUM_PIECES
    step = (len(text) - length) // (_NUM_PIECES - 1)
    return "\n".join(_piece(text, index * step, length) for index in range(_NUM_PIECES))


def _piece(text: str, start: int, length: int) -> str:
    if start > 0:
        space = text.find(" ", start, start + _SPACE_NEAR)
        start = space + 1 if space >= 0 else start
    end = start + length
    space = text.rfind(" ", end - _SPACE_NEAR, end)
    return text[start : space if space >= 0 and end < len(text) else end]


def load_identifier(config: LanguageConfig) -> Identifier:
    """The identifier that the settings name, ready to use.

    Raises:
        InputError: its model is missing, damaged, or not the one that the settings name by hash.
    """
    if config.identifier == "fasttext":
        return _FastText(config.model_path, config.model_sha256)
    return _Combined() if config.identifier == "combined" else _Py3LangId()


def known_languages() -> frozenset[str]:
    """The codes that the default can answer, `und` apart."""
    return _Py3LangId().known


def short_text_sha256() -> str:
    """What names the model of short texts in the fingerprint of a step."""
    return _SHORT_TEXT_SHA256.read_text().split()[0]


def short_text_input(text: str) -> str:
    """A text as the model of short texts is taught and asked it."""
    return " ".join(text.lower().split())


class _Py3LangId:
    """Naive Bayes over byte n-grams, 140 languages, the model inside the package."""

    def __init__(self) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        self.model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self.known = frozenset(self.model.labels) - _NO_LANGUAGE

    def identify(self, text: str) -> Identified:
        language, score = self.model.classify(text)
        return Identified(UNDETERMINED if language == "zxx" else language, float(score))


class _Combined:
    """py3langid, for short texts with the opinion of our model; languages that this was not taught are not ruled out."""

    def __init__(self) -> None:
        self._bayes = _Py3LangId()
        self.known = self._bayes.known
        if hashlib.sha256(SHORT_TEXT_MODEL.read_bytes()).hexdigest() != short_text_sha256():
            raise DataError(f"{SHORT_TEXT_MODEL} is damaged: its SHA-256 is not {short_text_sha256()}")
        self._short = load_fasttext(str(SHORT_TEXT_MODEL))
        self._taught = dict.fromkeys(label.removeprefix(_LABEL) for label in self._short.get_labels())

    def identify(self, text: str) -> Identified:
        if len(text) >= _SHORT_CHARS:
            return self._bayes.identify(text)
        labels, scores = self._short.predict(short_text_input(text), k=_CANDIDATES)
        said = {label[len(_LABEL) :]: float(score) for label, score in zip(labels, scores, strict=True)}
        ranked = self._bayes.model.rank(text)
        shares = dict(ranked)
        joint = {
            language: shares[language]
            * (math.sqrt(max(said.get(language, 0.0), _LEAST)) if language in self._taught else _UNTAUGHT)
            for language in sorted({*said, *(language for language, _ in ranked[:_CANDIDATES])} & shares.keys())
        }
        best = max(joint, key=joint.__getitem__)
        score = round(joint[best] / sum(joint.values()), 6) if joint[best] else 0.0
        return Identified(UNDETERMINED, 0.0) if best == "zxx" else Identified(best, score)


class _FastText:
    """A fastText model whose labels are `__label__CODE` in any usual form: lid.176, lid218, OpenLID, GlotLID.

    Labels of one language, such as `zho_Hans` and `zho_Hant`, add up.
    """

    def __init__(self, path: str, sha256: str) -> None:
        self._model = load_fasttext(path, sha256, setting="extract.language.model_sha256")
        self._codes = codes_of_labels([label.removeprefix(_LABEL) for label in self._model.get_labels()])
        codes = set(self._codes.values())
        self.known = frozenset(codes - _NO_LANGUAGE)
        self._num_labels = 1 if len(codes) == len(self._codes) else _CANDIDATES

    def identify(self, text: str) -> Identified:
        shares: dict[str, float] = {}
        for label, score in zip(*self._model.predict(text, k=self._num_labels), strict=True):
            code = self._codes[label.removeprefix(_LABEL)]
            shares[code] = shares.get(code, 0.0) + float(score)
        best = max(shares, key=shares.__getitem__, default=UNDETERMINED)
        return Identified(UNDETERMINED, 0.0) if best in _NO_LANGUAGE else Identified(best, min(1.0, shares[best]))
