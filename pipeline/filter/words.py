"""Text → words, once for all measures: a vocabulary that cuts each distinct chunk of text a single time.

A chunk is what lies between white space. English and other spaced scripts are cut by the published rules of
spaCy's English tokenizer (affixes peeled one at a time, then infixes, with contractions, abbreviations,
emoticons and web addresses kept as they are), which is what the reference implementation of the Gopher
rules counts. Scripts without spaces are cut into short pieces: see `_pieces`.

Most chunks of a text have been seen before, so the cost of a word is a dictionary look-up.
"""

import unicodedata
from array import array
from collections.abc import Iterable
from itertools import chain
from typing import Literal

import numpy as np
import numpy.typing as npt
import regex

from pipeline.filter.special_words import SPECIAL

Cut = Literal["affixes", "white_space", "unicode"]
LINE_END = "\n"  # the chunk that ends each line; its word has the id 0

_MAX_CHUNKS = 1 << 17
_MAX_CHUNK_CHARS = 1000
_LONGEST_SUFFIX = 8
_PUNCT = r"…,:;!?¿؟¡()\[\]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = r"""'"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧"""
_CURRENCY = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
_UNITS = [
    "km",
    "km²",
    "km³",
    "m",
    "m²",
    "m³",
    "dm",
    "dm²",
    "dm³",
    "cm",
    "cm²",
    "cm³",
    "mm",
    "mm²",
    "mm³",
    "ha",
    "µm",
    "nm",
    "yd",
    "in",
    "ft",
    "kg",
    "g",
    "mg",
    "µg",
    "t",
    "lb",
    "oz",
    "m/s",
    "km/h",
    "kmh",
    "mph",
    "hPa",
    "Pa",
    "mbar",
    "mb",
    "MB",
    "kb",
    "KB",
    "gb",
    "GB",
    "tb",
    "TB",
    "T",
    "G",
    "M",
    "K",
    "%",
]
_PREFIX = regex.compile(rf"[§%=—–{_PUNCT}{_QUOTES}{_CURRENCY}\p{{So}}]|\+(?![0-9])|\.\.+|(?:US|C|A)\$")
_SUFFIX = regex.compile(
    rf"(?:[—–{_PUNCT}{_QUOTES}\p{{So}}]|\.\.+|['’][sS]|(?<=[0-9])(?:\+|[{_CURRENCY}]|{'|'.join(_UNITS)})"
    rf"|(?<=[0-9\p{{Ll}}\p{{Lo}}%²\-+{_PUNCT}{_QUOTES}])\.|(?<=\p{{Lu}}\p{{Lu}})\.|(?<=°[FfCcKk])\.)$"
)
_INFIX = regex.compile(
    rf"\.\.+|…|\p{{So}}|(?<=[0-9])[+\-*^](?=[0-9-])|(?<=[\p{{Ll}}\p{{Lo}}{_QUOTES}])\.(?=[\p{{Lu}}\p{{Lo}}{_QUOTES}])"
    r"|(?<=\p{L}),(?=\p{L})|(?<=[\p{L}0-9])(?:---|--|——|[-–—~])(?=\p{L})|(?<=[\p{L}0-9])[:<>=/](?=\p{L})"
)
_ADDRESS = regex.compile(
    r"(?:[\w+\-.]{2,}://)?(?:\S+(?::\S*)?@)?(?:(?:\d{1,3}\.){3}\d{1,3}|(?:[A-Za-z0-9\u00a1-\uffff](?:[A-Za-z0-9\u00a1-\uffff_-]{0,62}"
    r"[A-Za-z0-9\u00a1-\uffff])?\.)+[\p{Ll}\p{Lo}]{2,63})(?::\d{2,5})?(?:[/?#]\S*)?"
)
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]")
_PIECE = regex.compile(
    r"[的了是在不我有他这中和就人都你她也们與这個个为上到说要以]|\p{Han}{1,2}|[はがをにのでともへや]|\p{Hiragana}{1,3}|[\p{Katakana}ー]+"
    r"|[เแโใไ]?(?:[\p{Thai}--[เแโใไ]]\p{M}*){1,3}|(?:[\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]\p{M}*){1,3}|[^\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]+",
    regex.V1,
)
_UNICODE_BOUNDARY = regex.compile(r"\b", regex.WORD | regex.V1)  # Unicode Standard Annex 29
_ENDS_SENTENCE = frozenset("!.?։؟۔܀܁܂߹।॥၊။።፧፨‼‽⁇⁈⁉⸮﹒﹖﹗！．？｡。")
# What counts as a symbol rather than a word: ASCII and common punctuation, control characters, sentence ends.
_SYMBOLS = (
    frozenset("!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»")
    | frozenset(map(chr, chain(range(9), range(11, 13), range(13, 32), range(127, 160))))
    | _ENDS_SENTENCE
)


def split_chunk(chunk: str) -> list[str]:
    """The words of one chunk (text without white space), signs included; joined they are the chunk.

    A chunk longer than any word is cut into stretches first: peeling takes time with the square of the length.
    """
    if len(chunk) > _MAX_CHUNK_CHARS:
        starts = range(0, len(chunk), _MAX_CHUNK_CHARS)
        return [word for start in starts for word in split_chunk(chunk[start : start + _MAX_CHUNK_CHARS])]
    if chunk in SPECIAL:
        return list(SPECIAL[chunk])
    before: list[str] = []
    after: list[str] = []
    while chunk and chunk not in SPECIAL:
        prefix = _PREFIX.match(chunk)
        rest = chunk[prefix.end() :] if prefix else chunk
        suffix = None if prefix and rest in SPECIAL else _suffix_of(rest)
        if suffix and prefix and chunk[: -len(suffix[0])] in SPECIAL:
            prefix, rest = None, chunk
        if prefix:
            before.append(prefix[0])
        if suffix:
            after.append(suffix[0])
            rest = rest[: -len(suffix[0])]
        if not (prefix or suffix):
            break
        chunk = rest
    return [*before, *_middle(chunk), *reversed(after)]


def _suffix_of(chunk: str) -> regex.Match[str] | None:
    """What is to be peeled from the end. Nothing but a run of stops is longer than the end that is looked at."""
    start = len(chunk) - _LONGEST_SUFFIX
    return _SUFFIX.search(chunk, start if start > 0 and chunk[start] != "." else 0)


def _middle(chunk: str) -> Iterable[str]:
    if chunk in SPECIAL:
        return SPECIAL[chunk]
    if not chunk or (chunk.isalpha() and chunk.isascii()) or _ADDRESS.fullmatch(chunk):
        return (chunk,) if chunk else ()
    words, start = [], 0
    for infix in _INFIX.finditer(chunk):
        if infix.start() > start:
            words.append(chunk[start : infix.start()])
        words.append(infix[0])
        start = infix.end()
    words.append(chunk[start:])
    return [piece for word in words if word for piece in _pieces(word)]


def _pieces(word: str) -> list[str]:
    """A word of a script without spaces as pieces of one to three characters, any other word whole.

    No dictionary is used: function characters of Chinese and particles of Japanese stand alone, other Han
    is cut in twos, Thai and its neighbours by clusters. Counts and repetitions are what the pieces are for.
    """
    return _PIECE.findall(word) if _UNSPACED.search(word) else [word]


class Vocabulary(dict[str, bytes]):
    """Chunk → the ids of its words, as 32-bit integers in bytes: texts are then put together by joining.

    `cut`: `affixes` as above; `white_space` leaves chunks whole; `unicode` cuts at Unicode's word boundaries and drops
    what does not begin with a letter or a digit.

    Ids are given in order of appearance and mean nothing by themselves.

    `length`, `is_symbol`, `has_letter` and `sentence_role` describe each word by id. Roles: 1 ends a
    sentence, 2 is other punctuation, 0 is anything else (which starts one).
    """

    def __init__(self, cut: Cut = "affixes") -> None:
        super().__init__()
        self._cut = cut
        self._ids: dict[str, int] = {}
        self.forget()

    def forget(self) -> None:
        """Empties the vocabulary; called between texts when it has grown large."""
        self.clear()
        self._ids.clear()
        self._room = 1 << 12
        self.length = np.zeros(self._room, np.int64)
        self.is_symbol = np.zeros(self._room, np.bool_)
        self.has_letter = np.zeros(self._room, np.bool_)
        self.sentence_role = np.zeros(self._room, np.int8)
        self.marks = np.zeros(self._room, np.bool_)
        self[LINE_END] = np.array([self.word_id(LINE_END)], np.int32).tobytes()

    @property
    def is_large(self) -> bool:
        """Whether it is time to `forget`."""
        return len(self) > _MAX_CHUNKS

    def __missing__(self, chunk: str) -> bytes:
        ids = array("i", map(self.word_id, self._words_of(chunk))).tobytes()
        self[chunk] = ids
        return ids

    def _words_of(self, chunk: str) -> list[str]:
        if self._cut == "white_space" or chunk == LINE_END:
            return [chunk]
        if self._cut == "unicode":
            return [word for word in _UNICODE_BOUNDARY.split(chunk) if word and word[0].isalnum()]
        return [chunk] if chunk.isascii() and chunk.isalpha() and chunk not in SPECIAL else split_chunk(chunk)

    def word_id(self, word: str) -> int:
        """The id of `word`, new or old."""
        known = self._ids.get(word)
        if known is not None:
            return known
        position = self._ids[word] = len(self._ids)
        if position >= self._room:
            self._grow()
        self.length[position] = len(word)
        self.is_symbol[position] = all(char in _SYMBOLS for char in word)
        self.has_letter[position] = any(map(str.isalpha, word))
        self.sentence_role[position] = _sentence_role(word)
        return position

    def _grow(self) -> None:
        self._room *= 2
        for name in ("length", "is_symbol", "has_letter", "sentence_role", "marks"):
            setattr(self, name, np.resize(getattr(self, name), self._room))

    def ids_of_lines(self, lines: Iterable[str]) -> npt.NDArray[np.int64]:
        """The ids of the words of all lines in order, each line ended by a 0."""
        chunks: list[str] = []
        for line in lines:
            chunks += line.split()
            chunks.append(LINE_END)
        return np.frombuffer(b"".join(map(self.__getitem__, chunks)), np.int32).astype(np.int64)

    def contains(self, ids: npt.NDArray[np.int64], wanted: list[int]) -> list[bool]:
        """For each of `wanted` whether it is among `ids`."""
        self.marks[ids] = True
        found = self.marks[wanted].tolist()
        self.marks[ids] = False
        return list(found)


def _sentence_role(word: str) -> int:
    if word in _ENDS_SENTENCE:
        return 1
    return 2 if all(unicodedata.category(char)[0] == "P" for char in word) else 0
