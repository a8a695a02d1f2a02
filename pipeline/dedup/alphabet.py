"""What a code point means to a word: the table behind shingling, built from Unicode itself.

Case, diacritics and compatibility forms do not count (`É`, `é`, `Ｅ` and `e` are one letter). Letters,
marks and digits make words; everything else separates them. In scripts written without spaces each
character is a word of its own. Combining diacritics, soft hyphens and joiners are not there at all.
"""

import unicodedata
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SPACE, PUNCTUATION, NOTHING = 0, 1, 2
UNSPACED = 1 << 31
TABLE_SIZE = 0x20000
VERSION = f"unicode {unicodedata.unidata_version}"

_HAN_FROM, _HAN_TO = 0x20000, 0x40000
_DIACRITICS = range(0x0300, 0x0370)
_JOINERS = frozenset((0x00AD, 0x034F, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, *range(0xFE00, 0xFE10)))
_UNSPACED_RANGES = (
    range(0x0E00, 0x0E80), range(0x0E80, 0x0F00),  # Thai, Lao
    range(0x1000, 0x10A0), range(0xA9E0, 0xAA00), range(0xAA60, 0xAA80),  # Myanmar
    range(0x1780, 0x1800), range(0x1950, 0x19E0), range(0x1A20, 0x1AB0),  # Khmer, Tai
    range(0x1B00, 0x1B80), range(0xA980, 0xA9E0),  # Balinese, Javanese
    range(0x2E80, 0x3000), range(0x3005, 0x3008), range(0x3021, 0x3030),  # Han radicals and marks
    range(0x3040, 0x3130), range(0x31A0, 0x3200), range(0xFF66, 0xFFA0),  # kana, bopomofo
    range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0xF900, 0xFB00),  # Han
)  # fmt: skip


@lru_cache(maxsize=2)
def code_point_table(*, fold_digits: bool = False) -> npt.NDArray[np.uint32]:
    """For each code point below `TABLE_SIZE`: `SPACE`, `PUNCTUATION`, `NOTHING`, or the folded letter.

    The letter carries the bit `UNSPACED` where each character is a word. With `fold_digits` every
    decimal digit is `0`, so that pages which differ in numbers alone are alike.
    """
    table = np.array([_meaning(point) for point in range(TABLE_SIZE)], dtype=np.uint32)
    if fold_digits:
        digits = [point for point in range(TABLE_SIZE) if unicodedata.category(chr(point)) == "Nd"]
        table[digits] = ord("0")
    for span in _UNSPACED_RANGES:
        points = np.arange(span.start, span.stop)
        letters = table[points] > NOTHING
        table[points[letters]] |= np.uint32(UNSPACED)
    table.setflags(write=False)
    return table


def _meaning(point: int) -> int:
    if point in _JOINERS or point in _DIACRITICS:
        return NOTHING
    character = chr(point)
    category = unicodedata.category(character)
    if category[0] in "LMN":
        return _folded(character)
    return SPACE if character.isspace() or category[0] == "Z" or category == "Cc" else PUNCTUATION


def _folded(character: str) -> int:
    """The code point that stands for `character`: lower case, without diacritics where one letter is left."""
    letters = [letter for letter in unicodedata.normalize("NFKD", character) if ord(letter) not in _DIACRITICS]
    lower = "".join(letters).lower() if len(letters) == 1 else character.lower()
    return ord(lower) if len(lower) == 1 else ord(character)
