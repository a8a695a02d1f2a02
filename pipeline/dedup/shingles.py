"""Text → hashes of its words, of its shingles, and of the whole normalised text, in compiled code.

A word is a maximal run of letters, marks and digits (see `alphabet`), folded; its hash is 64 bits over
its code points. A shingle is `size` words in a row; its hash is a polynomial over theirs, mixed. Two
shingles are equal when their words are, up to collisions of 64 bits. Works on UTF-8 bytes as Arrow
holds them, without making a Python object of a word: about 6 µs per KB of text on one core.

numba caches machine code by the file of the outermost function: who changes `scan` or `join_words` must touch the
compiled callers in other files too (`COMPILED_WITH` there), or they go on with the old code.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup.alphabet import (
    ACCENTS_FROM,
    ACCENTS_TO,
    CONNECTOR,
    EXPANDED,
    LENGTH_BITS,
    TABLE_SIZE,
    UNSPACED,
    code_point_table,
)
from tokenizer.compiling import kept

VERSION = "shingles-4"

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]

# The constants are odd 64-bit numbers without pattern (golden ratio, MurmurHash3, xxHash primes).
_WORD_SEED = np.uint64(0x9E3779B97F4A7C15)
_WORD_FACTOR = np.uint64(0x9FB21C651E98DF25)
_SHINGLE_FACTOR = np.uint64(0xC2B2AE3D27D4EB4F)
_TEXT_FACTOR_1 = np.uint64(0x87C37B91114253D5)
_TEXT_FACTOR_2 = np.uint64(0x4CF5AD432745937F)
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_TABLE_SIZE = np.uint32(TABLE_SIZE)
_UNSPACED, _EXPANDED = np.uint32(UNSPACED), np.uint32(EXPANDED)
_LENGTH_BITS, _LENGTH_MASK = np.uint32(LENGTH_BITS), np.uint32((1 << LENGTH_BITS) - 1)
_CONNECTOR, _LETTER = np.uint32(CONNECTOR), np.uint32(4)
_ACCENTS_FROM, _ACCENTS_TO = np.uint32(ACCENTS_FROM), np.uint32(ACCENTS_TO)
NO_STARTS = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shingling:
    """What a shingle is: `words` words, or `characters` characters where most words are single characters
    of a script without spaces; `fold_digits` makes all digits alike, `fold_accents` takes
    accents off letters."""

    words: int = 5
    characters: int = 10
    fold_digits: bool = False
    fold_accents: bool = False

    def table(self) -> npt.NDArray[np.uint32]:
        """The code point table to read texts with."""
        return code_point_table(fold_digits=self.fold_digits, fold_accents=self.fold_accents)


@kept(nogil=True, inline="always")
def mixed(value: np.uint64) -> np.uint64:
    """A bijection of 64 bits after which each input bit has moved each output bit (MurmurHash3's)."""
    value ^= value >> np.uint64(33)
    value *= _MIX_1
    value ^= value >> np.uint64(33)
    value *= _MIX_2
    return value ^ (value >> np.uint64(33))


@kept(nogil=True, inline="always")
def code_point(data: Bytes, at: int, end: int) -> tuple[np.uint32, int]:
    """The code point at `at` and the position behind it; damaged UTF-8 reads as single bytes."""
    first = np.uint32(data[at])
    if first < 0x80:
        return first, at + 1
    if first < 0xE0 and at + 1 < end:
        return (first & np.uint32(0x1F)) << np.uint32(6) | np.uint32(data[at + 1] & 0x3F), at + 2
    if first < 0xF0 and at + 2 < end:
        middle = np.uint32(data[at + 1] & 0x3F) << np.uint32(6)
        return (first & np.uint32(0x0F)) << np.uint32(12) | middle | np.uint32(data[at + 2] & 0x3F), at + 3
    if at + 3 < end:
        upper = (first & np.uint32(0x07)) << np.uint32(18) | np.uint32(data[at + 1] & 0x3F) << np.uint32(12)
        return upper | np.uint32(data[at + 2] & 0x3F) << np.uint32(6) | np.uint32(data[at + 3] & 0x3F), at + 4
    return first, at + 1


@kept(nogil=True, inline="always")
def _meaning(point: np.uint32, table: npt.NDArray[np.uint32]) -> np.uint32:
    """The entry of `table`, continued beyond its end: Han characters, then nothing that makes words."""
    if point < _TABLE_SIZE:
        return np.uint32(table[point])
    return point | _UNSPACED if point < np.uint32(0x40000) else np.uint32(2)


@kept(nogil=True, inline="always")
def _and_letter(word: np.uint64, letter: np.uint32) -> np.uint64:
    """The hash of a word with one more letter. Accents are added, so that their order, which canonical forms change,
    is of no account."""
    if letter >= _ACCENTS_FROM and letter < _ACCENTS_TO:
        return word + np.uint64(letter) * _SHINGLE_FACTOR
    word = (word ^ np.uint64(letter)) * _WORD_FACTOR
    return word ^ (word >> np.uint64(29))


@kept(nogil=True)
def _goes_on(data: Bytes, at: int, end: int, table: npt.NDArray[np.uint32]) -> bool:
    """Whether a letter stands at `at`, which continues a word."""
    if at >= end:
        return False
    meaning = _meaning(code_point(data, at, end)[0], table)
    return bool(meaning >= _LETTER and meaning < _UNSPACED)


@kept(nogil=True)
def scan(
    data: Bytes,
    start: int,
    end: int,
    table: npt.NDArray[np.uint32],
    words: Hashes,
    text_hash: Hashes,
    starts: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Writes the hashes of the words of `data[start:end]` to `words`; returns how many, and how many of them
    are single characters of an unspaced script.

    `text_hash` gets 128 bits over the words and the punctuation between them: texts that differ in white
    space, case and Unicode form alone have the same. `words` must have room for one hash a byte; so must `starts`,
    which gets the position of each word, unless it is empty.
    """
    num_words, num_unspaced, at, begins = 0, 0, start, start
    low, high = _TEXT_FACTOR_2, _TEXT_FACTOR_1
    word, inside = _WORD_SEED, False
    while at <= end:
        meaning, point = np.uint32(0), np.uint32(32)
        before = at
        if at < end:
            point, at = code_point(data, at, end)
            meaning = _meaning(point, table)
            if meaning == np.uint32(2):
                continue
            if meaning == _CONNECTOR:
                meaning = point if inside and _goes_on(data, at, end, table) else np.uint32(1)
        else:
            at += 1
        if meaning >= _LETTER and meaning < _UNSPACED:
            if meaning < _EXPANDED:
                word = _and_letter(word, meaning)
            else:
                first = np.int64((meaning ^ _EXPANDED) >> _LENGTH_BITS)
                for place in range(first, first + np.int64(meaning & _LENGTH_MASK)):
                    word = _and_letter(word, np.uint32(table[place]))
            if not inside:
                inside, begins = True, before
            continue
        if inside:
            words[num_words] = mixed(word)
            low = ((low ^ words[num_words]) * _TEXT_FACTOR_1) ^ (low >> np.uint64(31))
            high = (high + words[num_words]) * _TEXT_FACTOR_2 ^ (high >> np.uint64(29))
            if starts.shape[0]:
                starts[num_words] = begins
            num_words += 1
            word, inside = _WORD_SEED, False
        if meaning >= _UNSPACED:
            words[num_words] = mixed((_WORD_SEED ^ np.uint64(meaning)) * _WORD_FACTOR)
            low = ((low ^ words[num_words]) * _TEXT_FACTOR_1) ^ (low >> np.uint64(31))
            high = (high + words[num_words]) * _TEXT_FACTOR_2 ^ (high >> np.uint64(29))
            if starts.shape[0]:
                starts[num_words] = before
            num_words += 1
            num_unspaced += 1
        elif meaning == np.uint32(1):
            low = ((low ^ np.uint64(point)) * _TEXT_FACTOR_1) ^ (low >> np.uint64(31))
            high = (high + np.uint64(point)) * _TEXT_FACTOR_2 ^ (high >> np.uint64(29))
    text_hash[0] = mixed(high ^ np.uint64(num_words))
    text_hash[1] = mixed(low)
    return num_words, num_unspaced


@kept(nogil=True)
def join_words(words: Hashes, num_words: int, size: int, out: Hashes) -> int:
    """Writes the hash of each run of `size` words to `out`; returns how many: none where words are fewer."""
    num_shingles = max(num_words - size + 1, 0)
    for first in range(num_shingles):
        value = np.uint64(size)
        for offset in range(size):
            value = value * _SHINGLE_FACTOR + words[first + offset]
        out[first] = mixed(value)
    return num_shingles


@kept(nogil=True, inline="always")
def shingle_size(num_words: int, num_unspaced: int, by_words: int, by_characters: int) -> int:
    """How many words make a shingle of this document: decided by what most of its words are."""
    return by_characters if 2 * num_unspaced > num_words else by_words


def text_buffers(texts: pa.StringArray) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """The UTF-8 bytes of Arrow strings and where each begins and ends, without copying the bytes."""
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=width, count=len(texts) + 1, offset=texts.offset * np.dtype(width).itemsize)
    return np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, np.uint8), bounds.astype(np.int64)


def shingle_hashes(text: str, shingling: Shingling | None = None) -> Hashes:
    """The hashes of the shingles of one text, in order, repeats and all."""
    shingling = shingling or Shingling()
    data = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    words, text_hash = np.empty(len(data) + 1, np.uint64), np.empty(2, np.uint64)
    num_words, num_unspaced = scan(data, 0, len(data), shingling.table(), words, text_hash, NO_STARTS)
    size = shingle_size(num_words, num_unspaced, shingling.words, shingling.characters)
    out = np.empty(max(num_words - size + 1, 0), np.uint64)
    join_words(words, num_words, size, out)
    return out
