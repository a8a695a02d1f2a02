"""How surprised an n-gram model of its language is by a text: perplexity by KenLM, as CCNet sorts web pages.

Wenzek et al. 2020 cut each page with SentencePiece, score it with a 5-gram model of Wikipedia, and keep what lies below a
percentile of its language. The perplexity of a document is 10 ** -(sum of the logarithms / number of tokens); each
sentence ends with a token of its own, which is counted. What is a sentence, and how the text is written, is the dialect:

`ccnet`: small letters, no accents, every digit 0, signs of other scripts as plain ones, no control characters. Among these are
line ends, so with a tokenizer the whole text is one sentence, and the last word of a line is glued to the first of the
next. That is what its code and that of edugp/kenlm do, and what published percentiles were measured with. Without a tokenizer
each line is a sentence.
`lines`: the same spelling, and each line a sentence.
`plain`: the text as it stands, as data-juicer gives it to its tokenizer. Without a tokenizer each line is a sentence.

Lines without a token are no sentences.
"""

import gzip
import hashlib
import math
import re
import shutil
import tempfile
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pipeline import storage
from pipeline.errors import InputError
from pipeline.filter.perplexity_config import PerplexityConfig
from pipeline.model_files import local_file, verified_model

PREFIX = "perplexity_"
EXTRA = "pip install 'corpusmill[perplexity]'"
_MAX_LOGARITHM = 300.0  # a little less than what a float holds
_GZIP = b"\x1f\x8b"
# `Cannot read model 'x' (lm/y.cc:57 in void z() threw Exception because `condition'. What is wrong.`
_PLACE = re.compile(r"^Cannot read model '.*?' \((?:.* threw \w+(?: because `.*?')?\. *)?")

# The signs that CCNet rewrites, by what they become.
_PLAIN_SIGNS = {
    ",": "，、", ".": "。", ". ": "．", "...": "…", '"': "„”“«»」「《》", "'": "´’", ":": "∶：", ";": "；", "?": "？", "!": "！",
    "(": "（", ")": "）", "[": "【", "]": "】", "<": "〈", ">": "〉", "-": "–━►", " - ": "—", "~": "～", "%": "％",
}  # fmt: skip


class _Spelling(dict[int, str | None]):
    """What becomes of each character of a text in small letters whose accents stand apart; found out when first asked for."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        found: str | None = "0" if char.isdecimal() else char
        if code < 32 or 127 <= code < 160 or unicodedata.category(char) == "Mn":
            found = None  # not "", with which `translate` leaves its fast way
        self[code] = found
        return found


_SPELLING = _Spelling({ord(char): plain for plain, chars in _PLAIN_SIGNS.items() for char in chars})


def normalise(text: str) -> str:
    """`text` in the spelling of CCNet's models, on one line."""
    small = text.lower()
    return (small if small.isascii() else unicodedata.normalize("NFD", small)).translate(_SPELLING)


def perplexity_measures(settings: Mapping[str, PerplexityConfig]) -> tuple[str, ...]:
    """The names of the measures, in order: one for each language, as one threshold fits no two."""
    return tuple(PREFIX + language for language in sorted(settings))


def models_sha256(settings: Mapping[str, PerplexityConfig]) -> str:
    """What names the models in the fingerprint of a step.

    Raises:
        InputError: a file is missing, or not the one that the settings name by hash.
    """
    digest = hashlib.sha256()
    for language, config in sorted(settings.items()):
        for path, sha256 in ((config.model, config.sha256), (config.tokenizer, config.tokenizer_sha256)):
            found = storage.checksum(verified_model(path, sha256))[0] if path else ""
            digest.update(f"{language} {found}\n".encode())
    return digest.hexdigest()


class PerplexityModel:
    """The loaded model of one language. Not to be pickled: load it where it is used.

    Raises:
        InputError: a file is missing, damaged, or not the one that the settings name by hash; or a package is not installed.
    """

    def __init__(self, language: str, config: PerplexityConfig) -> None:
        setting = f"filter.perplexity.{language}"
        self._model = _load_kenlm(config, setting)
        self._tokenizer = _load_tokenizer(config, setting) if config.tokenizer else None
        self._dialect = config.dialect

    def of(self, text: str) -> float:
        """The perplexity of `text`, to six digits, as KenLM adds up in single precision; NaN of a text without tokens."""
        logarithm, num_tokens = 0.0, 0
        for tokens in self._sentences(text.encode("utf-8", "replace").decode().replace("\0", " ")):
            logarithm += self._model.score(" ".join(tokens))
            num_tokens += len(tokens) + 1
        if not num_tokens:
            return math.nan
        return float(f"{10 ** min(_MAX_LOGARITHM, -logarithm / num_tokens):.6g}")

    def _sentences(self, text: str) -> Iterator[list[str]]:
        """The tokens of each sentence that has any."""
        whole = self._tokenizer is not None and self._dialect != "lines"
        for line in (text,) if whole else text.split("\n"):
            spelled = line if self._dialect == "plain" else normalise(line)
            if self._tokenizer is not None:
                spelled = " ".join(self._tokenizer.encode(spelled, out_type=str))
            if tokens := spelled.split():
                yield tokens


def _load_kenlm(config: PerplexityConfig, setting: str) -> Any:
    try:
        import kenlm
    except ImportError:
        raise InputError(f"{setting} needs kenlm, which is not installed: {EXTRA}") from None
    options = kenlm.Config()
    options.show_progress = False
    options.arpa_complain = kenlm.ARPALoadComplain.NONE
    with local_file(config.model, config.sha256, setting=f"{setting}.sha256") as packed, _unpacked(packed) as path:
        try:
            return kenlm.Model(path, options)
        except OSError as error:
            raise InputError(f"{config.model} is not a model that KenLM reads: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """What KenLM says is wrong, without the places in its own source."""
    return _PLACE.sub("", " ".join(str(error).split()).removesuffix(")"))


@contextmanager
def _unpacked(path: str) -> Iterator[str]:
    """`path`, or what a gzipped file holds: not every KenLM is built with zlib.

    Raises:
        InputError: the gzipped file is damaged.
    """
    with open(path, "rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    if not packed:
        yield path
        return
    with tempfile.NamedTemporaryFile() as plain:
        try:
            with gzip.open(path) as source:
                shutil.copyfileobj(source, plain, 1 << 20)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{path} cannot be unpacked: {error}") from None
        plain.flush()
        yield plain.name


def _load_tokenizer(config: PerplexityConfig, setting: str) -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise InputError(f"{setting}.tokenizer needs sentencepiece, which is not installed: {EXTRA}") from None
    with local_file(config.tokenizer, config.tokenizer_sha256, setting=f"{setting}.tokenizer_sha256") as path:
        content = storage.read_bytes(path)
    tokenizer = sentencepiece.SentencePieceProcessor()
    try:
        tokenizer.LoadFromSerializedProto(content)  # the constructor takes an empty file for none at all
    except RuntimeError as error:
        raise InputError(f"{config.tokenizer} is not a SentencePiece model: {error}") from None
    return tokenizer
