"""Keeps hostile HTML from costing the parser (lexbor) more than about a second and a few hundred megabytes.

What a tree builder does by the standard can be made to explode, and a parser cannot be stopped once it runs. So
three numbers are bounded before it starts, each by a count of bytes that no markup can get around:

* the depth of the tree, by the number of `<`: time grows with its square;
* the attributes of one element, by the number of words, slashes and equals signs: the same, and tags of `<body>` merge;
* copies of formatting elements: `<b 1><b 2>… <p>x<p>x…` builds each of the `<b>` again in each `<p>`, so that a page of
  40 KB takes 6 GB. Where there could be many, formatting elements are renamed: nothing copies unknown ones.
"""

import re

import numpy as np

_MAX_TAGS = 20_000
_MAX_ATTRIBUTES = 30_000
_MAX_COPIES = 250_000
_BLOCK_BYTES = 1 << 16  # counted at a time: stays in the cache of a core
_UNSEEN = re.compile(rb"<(?:!--|(script|style|template|textarea|title)\b)", re.IGNORECASE)
_FORMATTING = re.compile(rb"<(/?)(?=(?:b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)[\s/>])", re.IGNORECASE)


def _starts_of_formatting() -> np.ndarray:
    """Whether two bytes can begin the name of a formatting element, by their value in little-endian order."""
    found = np.zeros(1 << 16, dtype=bool)
    for name in ("b", "bi", "co", "em", "fo", "i", "no", "s", "sm", "st", "tt", "u"):
        for first in {name[0], name[0].upper()}:
            seconds = {name[1], name[1].upper()} if name[1:] else "\t\n\f\r />"
            for second in seconds:
                found[ord(first) + 256 * ord(second)] = True
    return found


_STARTS_OF_FORMATTING = _starts_of_formatting()


def tamed(html: bytes) -> bytes | None:
    """`html`, or the same links in a form that can be parsed at a bounded cost; None if only a scan can."""
    tags, attributes = _effort(html)
    if tags > _MAX_TAGS:
        return None
    if attributes > _MAX_ATTRIBUTES:
        html = without_unseen(html)
        tags, attributes = _effort(html)
        if attributes > _MAX_ATTRIBUTES:
            return None
    # Of so few tags, whatever they are, there are no more copies than that: half of them formatting, half of them not.
    few = tags * tags <= 4 * _MAX_COPIES
    return html if few or _copies(html) <= _MAX_COPIES else _FORMATTING.sub(rb"<\1x-", html)


def without_unseen(html: bytes) -> bytes:
    """`html` without comments and the elements whose content is no markup."""
    lower = html.lower()
    pieces: list[bytes] = []
    position = 0
    while start := _UNSEEN.search(lower, position):
        pieces.append(html[position : start.start()])
        end = lower.find(b"</" + start[1] if start[1] else b"-->", start.end() - 2)
        if end < 0:
            return b" ".join(pieces)
        position = end + (0 if start[1] else 3)
    return b" ".join((*pieces, html[position:]))


def _effort(html: bytes) -> tuple[int, int]:
    """Bounds on the number of tags, and of the attributes of one element."""
    octets = np.frombuffer(html, dtype=np.uint8)
    num_tags = num_separators = 0
    for start in range(0, len(octets), _BLOCK_BYTES):
        block = octets[start : start + _BLOCK_BYTES]
        blank = block <= 0x20
        words = np.count_nonzero(blank[:-1] > blank[1:]) + 1  # one may begin with the block
        num_separators += int(words + np.count_nonzero(block == 0x2F) + np.count_nonzero(block == 0x3D))
        num_tags += int(np.count_nonzero(block == 0x3C))
    return num_tags, num_separators


def _copies(html: bytes) -> int:
    """A bound on the number of copies of formatting elements."""
    octets = np.frombuffer(html, dtype=np.uint8)
    tags = np.flatnonzero(octets == 0x3C)
    named = tags[tags < len(octets) - 2]
    names = octets[named + 1].astype(np.uint16) + (octets[named + 2].astype(np.uint16) << 8)
    num_formatting = int(np.count_nonzero(_STARTS_OF_FORMATTING[names]))
    return num_formatting * (len(tags) - num_formatting)
