"""Language identification of a document, and the share of each language by paragraph.

Codes are ISO 639-1 where there is one, else ISO 639-3. Text in which nothing can be recognised is
`und` with score 0. The answer depends on the text alone.
"""

import hashlib
import os
import re
import tempfile
from collections import Counter
from typing import Any, NamedTuple, Protocol

from pipeline.errors import InputError
from pipeline.extract.config import LanguageConfig
from pipeline.storage import is_local, read_bytes

UNDETERMINED = "und"
_NUM_PIECES = 5
_MIN_PARAGRAPH_LETTERS = 20
_MAX_PARAGRAPHS = 40
_SPACE_NEAR = 40
_LETTER = re.compile(r"[^\W\d_]")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|\S{1,64}@\S+\.\S+")
_ADDRESS_MARKS = ("://", "www.", "@")


class Identified(NamedTuple):
    """A language and how certain it is, 0..1."""

    language: str
    score: float


class Identifier(Protocol):
    """What tells the language of one piece of text."""

    def identify(self, text: str) -> Identified:
        """The language of a text without line ends."""
        ...


class LanguageFinder:
    """Finds languages with a loaded model; make it in `setup`, it does not pickle small."""

    def __init__(self, config: LanguageConfig) -> None:
        self._sample_chars = config.sample_chars
        self._identifier = load_identifier(config)

    def of_document(self, text: str) -> Identified:
        """The language of a whole text, judged by pieces spread over it."""
        return self.of_line(sample(text, self._sample_chars))

    def of_line(self, text: str) -> Identified:
        """The language of a short text."""
        if any(mark in text for mark in _ADDRESS_MARKS):
            text = _ADDRESS.sub(" ", text)
        text = " ".join(text.split())
        if not _LETTER.search(text):
            return Identified(UNDETERMINED, 0.0)
        return self._identifier.identify(text)

    def shares(self, text: str) -> dict[str, float]:
        """The share of the letters in paragraphs of each language, largest first.

        Long texts are judged by paragraphs spread over them; paragraphs too short to judge are left out.
        """
        letters: Counter[str] = Counter()
        for paragraph in _spread(_paragraphs(text), _MAX_PARAGRAPHS):
            letters[self.of_line(paragraph[:600]).language] += len(paragraph)
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
    return _Py3LangId()


class _Py3LangId:
    """Naive Bayes over byte n-grams, 140 languages, the model inside the package."""

    def __init__(self) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        self._model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def identify(self, text: str) -> Identified:
        language, score = self._model.classify(text)
        return Identified(UNDETERMINED if language == "zxx" else language, float(score))


class _FastText:
    """A fastText model whose labels are `__label__CODE`, such as lid.176."""

    def __init__(self, path: str, sha256: str) -> None:
        content = read_bytes(path)
        found = hashlib.sha256(content).hexdigest()
        if sha256 and found != sha256.lower():
            raise InputError(
                f"{path} is not the language model that extract.language.model_sha256 names: its SHA-256 is {found}"
            )
        self._model = _load_fasttext(path, content)

    def identify(self, text: str) -> Identified:
        labels, scores = self._model.predict(text)
        if not labels:
            return Identified(UNDETERMINED, 0.0)
        return Identified(labels[0].removeprefix("__label__"), min(1.0, float(scores[0])))


def _load_fasttext(path: str, content: bytes) -> Any:
    import fasttext

    if is_local(path):
        local = path.removeprefix("file://")
        return _load_local(fasttext, local)
    with tempfile.TemporaryDirectory() as folder:  # fastText reads from a real file only
        local = os.path.join(folder, "model")
        with open(local, "wb") as file:
            file.write(content)
        return _load_local(fasttext, local)


def _load_local(fasttext: Any, local: str) -> Any:
    try:
        return fasttext.load_model(local)
    except ValueError as error:
        raise InputError(f"{local} is not a fastText model: {error}") from None
