"""Bytes → text: byte order mark, then UTF-8 if the bytes are that, then what transport and page say, then detection.

Browsers believe the labels first. Real pages lie often enough, and bytes that are not UTF-8 hardly
ever look like it, so here valid UTF-8 goes before every label.
"""

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META = re.compile(
    rb"""<(?:meta|\?xml)\s[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?\s*([a-zA-Z0-9_:.+-]{2,40})""", re.IGNORECASE
)
_META_BYTES = 4096
_DETECT_BYTES = 128 << 10
_CONTROL_BYTES = bytes((*range(9), *range(14, 32), 127))
_SHIFT = b"\x1b"  # starts the shifts of ISO 2022, which otherwise look like ASCII
_DAMAGE = re.compile("[\ufffd\x00-\x08\x0e-\x1f\x7f-\x9f]")
# A label is believed if it leaves less than this share of damage; else detection is asked.
_BELIEVABLE_DAMAGE = 0.01
# Supersets that browsers use in place of what the label says.
_SUPERSETS = {
    "shift_jis": "cp932",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "euc-kr": "cp949",
}


class Decoded(NamedTuple):
    """Text, the charset that it was decoded from, and the share of it that is replacement or control characters."""

    text: str
    charset: str
    damaged_share: float


def decode(payload: bytes, *, transport: str = "", html: bool = True) -> Decoded:
    """The text of `payload`. Never fails: see `damaged_share` for how well it went."""
    for mark, charset in _MARKS:
        if payload.startswith(mark):
            return _decoded(payload[len(mark) :], charset)
    if charset := _wide_charset(payload):
        return _decoded(payload, charset)
    if _SHIFT not in payload and (text := _as_utf8(payload)) is not None:
        num_controls = len(payload) - len(payload.translate(None, _CONTROL_BYTES))
        return Decoded(text, "utf-8", num_controls / max(1, len(text)))
    best: Decoded | None = None
    for charset in dict.fromkeys(_candidates(payload, transport, html)):
        decoded = _decoded(payload, charset)
        if decoded.damaged_share < _BELIEVABLE_DAMAGE:
            return decoded
        if best is None or decoded.damaged_share < best.damaged_share:
            best = decoded
    assert best is not None
    return best


def _candidates(payload: bytes, transport: str, html: bool) -> Iterator[str]:
    """Charsets to try, in order of trust."""
    if charset := codec_name(transport):
        yield charset
    if html and (match := _META.search(payload, 0, _META_BYTES)):
        declared = codec_name(match[1].decode("ascii"))
        # A page whose declaration can be read as ASCII is not UTF-16.
        yield "utf-8" if declared.startswith("utf-16") else declared or "utf-8"
    yield codec_name(str(detect_encoding(payload[:_DETECT_BYTES]))) or "utf-8"
    yield "utf-8"
    yield "cp1252"


def codec_name(label: str) -> str:
    """The Python codec for a label of the web (https://encoding.spec.whatwg.org), or empty if nobody knows it."""
    label = label.strip().strip("\"'").lower()
    if not label:
        return ""
    name = str(map_encoding_to_html5(label))
    if name == "utf-8" and not label.replace("_", "-").endswith(("utf-8", "utf8")):
        return ""  # unknown labels come back as UTF-8
    name = _SUPERSETS.get(name, name)
    try:
        return codecs.lookup(name).name
    except LookupError:
        return ""


def _wide_charset(payload: bytes) -> str:
    """UTF-16 without a mark, known by its null bytes: every second one of mostly Latin text."""
    start = payload[:_META_BYTES]
    if start.count(0) < len(start) * 0.3:
        return ""
    in_even, in_odd = start[::2].count(0), start[1::2].count(0)
    return "utf-16-le" if in_odd > 10 * in_even else "utf-16-be" if in_even > 10 * in_odd else ""


def _as_utf8(payload: bytes) -> str | None:
    """The text, if `payload` is UTF-8, perhaps cut off inside its last character."""
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(payload) - 3 or error.reason != "unexpected end of data":
            return None
        return payload[: error.start].decode("utf-8")


def _decoded(payload: bytes, charset: str) -> Decoded:
    text = payload.decode(charset, "replace")
    return Decoded(text, charset, len(_DAMAGE.findall(text)) / max(1, len(text)))
