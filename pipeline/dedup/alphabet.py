"""What a code point means to a word: the table behind shingling, built from Unicode itself.

Case and compatibility forms do not count (`É` and `é` are one letter, `Ｅ` is `e`, `ﬁ` is `fi`, `ß` is `ss`), nor does
it whether letters come composed or decomposed (`é`, Korean syllables, Arabic hamza, Indic nukta). Accents count
unless they are folded: they tell words apart in most languages that write them. Letters, marks and digits make
words, with underscores between them (`snake_case` is one word, `_emphasis_` is `emphasis`);
everything else separates them. In scripts written without spaces each character is a word of its own.
Voiced marks of kana, soft hyphens and joiners are not there at all.
"""

import unicodedata
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SPACE, PUNCTUATION, NOTHING, CONNECTOR = 0, 1, 2, 3
UNSPACED = 1 << 31
EXPANDED = 1 << 30
LENGTH_BITS = 5
TABLE_SIZE = 0x20000
VERSION = f"letters 4, unicode {unicodedata.unidata_version}"

_HAN_FROM, _HAN_TO = 0x20000, 0x40000
ACCENTS_FROM, ACCENTS_TO = 0x0300, 0x0370
_ACCENTS = frozenset(range(ACCENTS_FROM, ACCENTS_TO))
_VOICED_MARKS = frozenset((0x3099, 0x309A))
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


@lru_cache(maxsize=4)
def code_point_table(*, fold_digits: bool = False, fold_accents: bool = False) -> npt.NDArray[np.uint32]:
    """For each code point below `TABLE_SIZE`: `SPACE`, `PUNCTUATION`, `NOTHING`, `CONNECTOR`, or the folded letter.

    The letter carries the bit `UNSPACED` where each character is a word. Where a character stands for several
    letters, the bit `EXPANDED` says that these lie behind the code points: from where (above the lowest
    `LENGTH_BITS`), and how many. With `fold_digits` every decimal digit is `0`, so that pages which differ in
    numbers alone are alike. With `fold_accents` letters lose their combining diacritics.
    """
    unspaced = {point for span in _UNSPACED_RANGES for point in span}
    unseen = _JOINERS | _VOICED_MARKS | (_ACCENTS if fold_accents else frozenset())
    found = [_meaning(point, point in unspaced, unseen) for point in range(TABLE_SIZE)]
    expansions: list[int] = []
    for point, letters in enumerate(found):
        if len(letters) > 1:
            found[point] = [EXPANDED | (TABLE_SIZE + len(expansions)) << LENGTH_BITS | len(letters)]
            expansions += letters
    table = np.array([letters[0] for letters in found] + expansions, dtype=np.uint32)
    if fold_digits:
        digits = [point for point in range(TABLE_SIZE) if unicodedata.category(chr(point)) == "Nd"]
        table[digits] = ord("0")
    points = np.array(sorted(unspaced))
    table[points[table[points] > CONNECTOR]] |= np.uint32(UNSPACED)
    table.setflags(write=False)
    return table


def _meaning(point: int, unspaced: bool, unseen: frozenset[int]) -> list[int]:
    if point in unseen:
        return [NOTHING]
    character = chr(point)
    if character == "_":
        return [CONNECTOR]
    category = unicodedata.category(character)
    if category[0] in "LMN":
        letters = _folded(character, unseen)
        return [point] if unspaced and len(letters) > 1 else letters or [NOTHING]
    return [SPACE if character.isspace() or category[0] == "Z" or category == "Cc" else PUNCTUATION]


def _folded(character: str, unseen: frozenset[int]) -> list[int]:
    """The letters and marks that `character` stands for: decomposed, without case and what is unseen."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    letters = [ord(letter) for letter in plain if unicodedata.category(letter)[0] in "LMN"]
    return [letter for letter in letters if letter not in unseen]
