"""The marks of list items: `- `, or the number that a browser would show, also as a letter or a Roman numeral."""

import re
from collections.abc import Mapping

from selectolax.lexbor import LexborNode

_STYLE = re.compile(
    r"list-style(?:-type)?\s*:[^;]{0,60}?\b(none|decimal|(?:lower|upper)-(?:alpha|latin|roman))\b", re.IGNORECASE
)
_KIND_OF_STYLE = {
    "none": "", "decimal": "1", "lower-alpha": "a", "lower-latin": "a", "upper-alpha": "A", "upper-latin": "A",
    "lower-roman": "i", "upper-roman": "I",
}  # fmt: skip
_KINDS = frozenset("1aAiI")
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"),
    (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_INTEGER = re.compile(r"\s*(-?\d{1,9})")


def start_of_list(node: LexborNode, attributes: Mapping[str, str | None]) -> tuple[int, str]:
    """What an ordered list has counted before its first item, and how it counts.

    That is `1`, `a`, `A`, `i`, `I`, or empty where its style shows no numbers; with a `-` before it counts backwards.
    """
    if not attributes:
        return 0, "1"
    start, kind = integer(attributes.get("start")), _kind_of_list(attributes)
    if "reversed" not in attributes:
        return (0 if start is None else start - 1), kind
    if start is None:
        start = sum(child.tag == "li" for child in node.iter())
    return start + 1, f"-{kind}"


def _kind_of_list(attributes: Mapping[str, str | None]) -> str:
    if (kind := (attributes.get("type") or "").strip()) in _KINDS:
        return kind
    style = _STYLE.search((attributes.get("style") or "")[:300])
    return _KIND_OF_STYLE[style[1].lower()] if style else "1"


def integer(stated: str | None) -> int | None:
    """The integer that an attribute starts with, as browsers read it."""
    match = _INTEGER.match(stated or "")
    return int(match[1]) if match else None


def mark(number: int, counts: str) -> str:
    """What stands before an item, with a space. Numbers that letters cannot write are written in digits."""
    kind = counts.removeprefix("-")
    if not kind:
        return "- "
    if kind in "aA" and number > 0:
        written = _in_letters(number)
    elif kind in "iI" and 0 < number < 4000:
        written = _in_roman(number)
    else:
        written = str(number)
    return f"{written.upper() if kind in 'AI' else written}. "


def _in_letters(number: int) -> str:
    letters = ""
    while number > 0:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return letters


def _in_roman(number: int) -> str:
    written = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        written += letters * count
    return written
