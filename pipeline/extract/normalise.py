"""Normalised text: NFC, `\\n` line ends, no control characters, no lone surrogates. Idempotent."""

import re
import unicodedata

# Line ends of every kind; form feed and vertical tab end a line too.
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# Controls other than tab and line feed, lone surrogates, noncharacters, byte order marks, soft
# hyphens, zero-width spaces, bidirectional controls, interlinear and object replacement marks. Joiners stay: Persian,
# Indic scripts and emoji need them.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffc\ufffe\uffff]"
)
_ODD_SPACES = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# Looking back keeps it linear: else a long run of spaces inside a line is tried from each of them.
_TRAILING = re.compile("(?<![ \t])[ \t]+\n")
_MANY_BREAKS = re.compile("\n{3,}")
_ALL_PLAIN = re.compile("[\n\t -~]*")


def normalise(text: str) -> str:
    """`text` with one form for each character and line end.

    Indentation stays, spaces at line ends go, and at most one blank line stands between lines.
    """
    if not _ALL_PLAIN.fullmatch(text):
        text = _LINE_ENDS.sub("\n", text)
        text = _UNWANTED.sub("", text)
        text = _ODD_SPACES.sub(" ", text)
        text = unicodedata.normalize("NFC", text)
    text = _TRAILING.sub("\n", text)
    return _MANY_BREAKS.sub("\n\n", text).strip("\n").rstrip()


def one_line(text: str, max_chars: int = 300) -> str:
    """`text` normalised, on one line, cut after `max_chars`: for titles and names."""
    return " ".join(normalise(text[: 4 * max_chars]).split())[:max_chars].rstrip()
