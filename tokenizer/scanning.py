# mypy: disable-error-code="assignment,no-any-return,arg-type,operator,return-value"
# Machine code has its own types: to mypy, numbers of numpy and of Python differ.
"""Cuts UTF-8 text as the known patterns do, in machine code; `tokenizer.splitting` is what it must equal.

First each byte gets the class of its character; then each pattern is a function from a position to the
end of the pre-token that starts there. These follow the alternatives of the regular expression in order,
with what its backtracking comes to worked out. Some 150 MB a second.

Legend: `data` are bytes, `kinds` the class of the character that each byte belongs to.
"""

from typing import Any

import numpy as np

from tokenizer.characters import (
    ANY_BLANK,
    ANY_LETTER,
    ANY_SPACELESS,
    BREAK,
    CONTINUES,
    HAN,
    HIRAGANA,
    KATAKANA,
    LETTER,
    LOWER,
    MARK,
    NUMBER,
    OTHER,
    SPACE,
    SPACELESS,
    UPPER,
)
from tokenizer.compiling import compiled, compiled_part
from tokenizer.patterns import CL100K, GPT2, LLAMA3, O200K, SCRIPTS, Pattern

_RULES = {GPT2.label: 0, CL100K.label: 1, LLAMA3.label: 1, O200K.label: 2, SCRIPTS.label: 3}


def rules_of(pattern: Pattern) -> int | None:
    """The number of the rules that cut as `pattern` does, or None where only `regex` can."""
    return _RULES.get(pattern.label)


@compiled_part
def classify(data: Any, page_of: Any, pages: Any, kinds: Any) -> None:
    """Writes the class of the character of each byte into `kinds`. `data` is valid UTF-8."""
    position, end = 0, len(data)
    while position < end:
        byte = int(data[position])
        if byte < 0x80:
            kinds[position] = pages[page_of[0], byte]
            position += 1
            continue
        if byte < 0xE0:
            size, point = 2, (byte & 0x1F) << 6 | (int(data[position + 1]) & 0x3F)
        elif byte < 0xF0:
            size = 3
            point = (byte & 0x0F) << 12 | (int(data[position + 1]) & 0x3F) << 6 | (int(data[position + 2]) & 0x3F)
        else:
            size = 4
            point = (byte & 0x07) << 18 | (int(data[position + 1]) & 0x3F) << 12 | (int(data[position + 2]) & 0x3F) << 6
            point |= int(data[position + 3]) & 0x3F
        kind = pages[page_of[point >> 8], point & 0xFF]
        kinds[position] = kind
        for following in range(position + 1, position + size):
            kinds[following] = kind | CONTINUES
        position += size


@compiled_part
def _after(kinds: Any, position: int, end: int, wanted: int) -> int:
    """Behind the run of characters of the wanted classes at `position`."""
    while (
        position < end and kinds[np.uint64(position)] & wanted
    ):  # unsigned: no question whether it counts from the end
        position += 1
    return position


@compiled_part
def _after_one(kinds: Any, position: int, end: int) -> int:
    """Behind the character at `position`."""
    position += 1
    while position < end and kinds[position] & CONTINUES:
        position += 1
    return position


@compiled_part
def _after_blanks(kinds: Any, start: int, end: int, by_line: bool) -> int:
    r"""Behind the white space at `start`: `\s*[\r\n]+` (if `by_line`), `\s+(?!\S)`, `\s+`."""
    stop = _after(kinds, start, end, ANY_BLANK)
    if by_line:
        for position in range(stop - 1, start - 1, -1):
            if kinds[position] & BREAK:
                return position + 1
    last = stop - 1
    while kinds[last] & CONTINUES:
        last -= 1
    if stop < end and last > start:
        return last  # the last blank leads the next pre-token
    return stop


@compiled_part
def _after_contraction(data: Any, position: int, end: int, any_case: bool) -> int:
    """Behind 's, 't, 're, 've, 'm, 'll or 'd at `position`, or `position` if there is none."""
    if position + 1 >= end or data[position] != 0x27:
        return position
    first = int(data[position + 1])
    if any_case:
        if first == 0xC5 and position + 2 < end and data[position + 2] == 0xBF:
            return position + 3  # the long s, which is an s in another case
        if 0x41 <= first <= 0x5A:
            first |= 0x20
    if first == 0x73 or first == 0x74 or first == 0x6D or first == 0x64:
        return position + 2
    if position + 2 < end:
        second = int(data[position + 2])
        if any_case and 0x41 <= second <= 0x5A:
            second |= 0x20
        if (first == 0x6C and second == 0x6C) or ((first == 0x76 or first == 0x72) and second == 0x65):
            return position + 3
    return position


@compiled_part
def _end_gpt2(data: Any, kinds: Any, start: int, end: int) -> int:
    position = _after_contraction(data, start, end, False)
    if position > start:
        return position
    if kinds[start] & SPACE and start + 1 < end and not kinds[start + 1] & ANY_BLANK:
        position = start + 1
    kind = kinds[position]
    if kind & ANY_LETTER:
        return _after(kinds, position, end, ANY_LETTER)
    if kind & NUMBER:
        return _after(kinds, position, end, NUMBER)
    if kind & ANY_BLANK:
        return _after_blanks(kinds, start, end, False)
    return _after(kinds, position, end, OTHER | MARK)


@compiled_part
def _end_of_rest(data: Any, kinds: Any, start: int, end: int, slash: bool) -> int:
    """The alternatives that cl100k and o200k share, behind those for words."""
    position = start
    if kinds[start] & NUMBER:
        for _ in range(3):
            if position < end and kinds[position] & NUMBER:
                position = _after_one(kinds, position, end)
        return position
    if kinds[start] & SPACE and start + 1 < end and kinds[start + 1] & (OTHER | MARK):
        position = start + 1
    if not kinds[position] & (OTHER | MARK):
        return _after_blanks(kinds, start, end, True)
    position = _after(kinds, position, end, OTHER | MARK)
    while position < end and (kinds[position] & BREAK or (slash and data[position] == 0x2F)):
        position += 1
    return position


@compiled_part
def _end_cl100k(data: Any, kinds: Any, start: int, end: int) -> int:
    kind = kinds[start]
    if kind & ANY_LETTER:
        return _after(kinds, start, end, ANY_LETTER)
    position = _after_contraction(data, start, end, True)
    if position > start:
        return position
    if not kind & (BREAK | NUMBER):
        following = _after_one(kinds, start, end)
        position = _after(kinds, following, end, ANY_LETTER)
        if position > following:
            return position
    return _end_of_rest(data, kinds, start, end, False)


@compiled_part
def _after_spaced(kinds: Any, position: int, end: int, wanted: int, barred: int) -> int:
    """As `_after`, but not over characters of the barred classes."""
    while position < end and kinds[position] & wanted and not kinds[position] & barred:
        position += 1
    return position


@compiled_part
def _after_word(kinds: Any, start: int, end: int, need_lower: bool, barred: int) -> int:
    """Behind upper* lower+ (or upper+ lower*) at `start`, or -1; letters without case, and marks, are both."""
    position = _after_spaced(kinds, start, end, UPPER | LETTER | MARK, barred)
    if position < end and kinds[position] & LOWER:
        return _after_spaced(kinds, position, end, LOWER | LETTER | MARK, barred)
    if need_lower:
        while position > start and not kinds[position - 1] & (LETTER | MARK):
            position -= 1
    return position if position > start else -1


@compiled_part
def _after_led_word(data: Any, kinds: Any, start: int, end: int, led: bool, barred: int) -> int:
    """Behind the word at `start`, or that behind the character there, with its contraction; -1 if there is none."""
    following = _after_one(kinds, start, end) if led else start
    for need_lower in (True, False):
        position = _after_word(kinds, following, end, need_lower, barred) if led else -1
        if position < 0:
            position = _after_word(kinds, start, end, need_lower, barred)
        if position >= 0:
            return _after_contraction(data, position, end, True)
    return -1


@compiled_part
def _after_common_word(data: Any, kinds: Any, start: int, end: int, barred: int) -> int:
    """Behind a word in lower case with at most a space before it, which most are, or `start`: what the general rule gives, sooner."""
    first = start + 1 if kinds[start] & SPACE else start
    if first >= end or not kinds[first] & LOWER:
        return start
    position = _after_spaced(kinds, first, end, LOWER | LETTER | MARK, barred)
    return _after_contraction(data, position, end, True)


@compiled_part
def _end_o200k(data: Any, kinds: Any, start: int, end: int) -> int:
    position = _after_common_word(data, kinds, start, end, 0)
    if position > start:
        return position
    led = not kinds[start] & (BREAK | NUMBER | ANY_LETTER)
    position = _after_led_word(data, kinds, start, end, led, 0)
    return position if position >= 0 else _end_of_rest(data, kinds, start, end, True)


@compiled_part
def _after_some(kinds: Any, position: int, end: int, wanted: int, most: int) -> int:
    """Behind at most so many characters of the wanted class."""
    while most > 0 and position < end and kinds[position] & wanted:
        position = _after_one(kinds, position, end)
        most -= 1
    return position


@compiled_part
def _after_spaceless(kinds: Any, start: int, end: int) -> int:
    """Behind a run of a script without spaces that begins at `start`, by the order of alternatives, or `start`."""
    if kinds[start] & HAN:
        return _after_some(kinds, _after_some(kinds, start, end, HAN, 16), end, HIRAGANA, 16)
    if kinds[start] & HIRAGANA:
        return _after_some(kinds, start, end, HIRAGANA, 16)
    if kinds[start] & KATAKANA:
        return _after_some(kinds, start, end, KATAKANA, 16)
    return _after_some(kinds, start, end, SPACELESS, 24)


@compiled_part
def _end_scripts(data: Any, kinds: Any, start: int, end: int) -> int:
    position = _after_common_word(data, kinds, start, end, ANY_SPACELESS)
    if position > start:
        return position
    led = not kinds[start] & (BREAK | NUMBER | ANY_LETTER | MARK)
    following = _after_one(kinds, start, end) if led else end
    own = kinds[start] & ANY_SPACELESS
    next_own = kinds[following] & ANY_SPACELESS if following < end else 0
    # An alternative is tried with a leading character before without; earlier ones have the lower bits.
    if next_own and (not own or (next_own & -next_own) <= (own & -own)):
        return _after_spaceless(kinds, following, end)
    if own:
        return _after_spaceless(kinds, start, end)
    position = _after_led_word(data, kinds, start, end, led, ANY_SPACELESS)
    if position >= 0:
        return position
    if kinds[start] & ANY_BLANK and (
        not kinds[start] & SPACE or following >= end or not kinds[following] & (OTHER | MARK)
    ):
        position = _after_blanks(kinds, start, end, True)
        if kinds[position - 1] & BREAK:
            while position < end and (data[position] == 0x20 or data[position] == 0x09):
                position += 1
        return position
    return _end_of_rest(data, kinds, start, end, True)


@compiled_part
def end_of_pretoken(data: Any, kinds: Any, start: int, end: int, rules: int) -> int:
    """Where the pre-token ends that starts at `start` in the document that ends at `end`."""
    if rules == 0:
        return _end_gpt2(data, kinds, start, end)
    if rules == 1:
        return _end_cl100k(data, kinds, start, end)
    if rules == 2:
        return _end_o200k(data, kinds, start, end)
    return _end_scripts(data, kinds, start, end)


@compiled
def split_ends(data: Any, documents: Any, page_of: Any, pages: Any, rules: int) -> Any:
    """The ends of all pre-tokens of all documents, in order."""
    kinds = np.empty(len(data), np.uint16)
    classify(data, page_of, pages, kinds)
    ends = np.empty(len(data), np.int64)
    size = 0
    for document in range(len(documents) - 1):
        position, end = documents[document], documents[document + 1]
        while position < end:
            position = end_of_pretoken(data, kinds, position, end, rules)
            ends[size] = position
            size += 1
    return ends[:size].copy()
