"""Bytes → text: byte order mark, then UTF-8 if the bytes are that, then what transport and page say, then detection.

Browsers believe the labels first. Real pages lie often enough, and bytes that are not UTF-8 hardly
ever look like it, so here UTF-8, also with a few wrong bytes in it, goes before every label. Servers that know nothing
say Latin-1, so that label is believed only of bytes that may be Latin letters. A text that was encoded twice from end to end is
decoded twice.
"""

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from pipeline.double_encoding import undo_double_encoding

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Where a declaration may stand; what only looks like one inside comments, scripts and titles is passed over.
_META = re.compile(
    rb"""<!--.*?(?:-->|\Z)|<(script|style|title|noscript)\b.*?(?:</\1|\Z)
    |<(?:meta[\s/]|\?xml\s)(?:(?!\bname\s*=)[^>]){0,200}?(?:charset|encoding)\s*=\s*["']?\s*([a-zA-Z0-9_:.+-]{2,40})""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_WIDE_BYTES = 4096
_MIN_NULL_SHARE = 0.02
_DETECT_BYTES = 128 << 10
_CONTROL_BYTES = bytes((*range(9), *range(14, 32), 127))
_SHIFT = b"\x1b"  # starts the shifts of ISO 2022, which otherwise look like ASCII
_ABOVE_ASCII = re.compile("[^\x00-\x7f\ufffd]")
# Words in letters above ASCII alone, which other scripts have and Latin ones do not. No rows of one sign, as for ornament.
_OTHER_LETTERS = re.compile(rb"([\x80-\x9f\xa1-\xff])(?!\1)[\x80-\x9f\xa1-\xff]{2,}")
_ASCII_BYTES = bytes(range(128)) + b"\xa0"
_HANGUL = re.compile("[\uac00-\ud7a3]")
_DAMAGE = re.compile("[\ufffd\x00-\x08\x0e-\x1f\x7f-\x9f]")
# A label is believed if it leaves less than this share of damage; else detection is asked.
_BELIEVABLE_DAMAGE = 0.01
# Supersets that browsers use in place of what the label says.
_SUPERSETS = {
    "shift_jis": "cp932",
    "iso2022_jp": "iso2022_jp_ext",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "euc-kr": "cp949",
    "iso8859-11": "cp874",
}
# Labels that the standard of the web does not know, but pages and servers use.
_OTHER_LABELS = {
    "x-mac-cyrillic": "mac_cyrillic", "x-mac-ukrainian": "mac_cyrillic", "cp932": "cp932", "cp936": "gb18030", "cp949": "cp949",
    "ms949": "cp949", "uhc": "cp949", "cp950": "big5hkscs", "ms950": "big5hkscs", "euc-cn": "gb18030", "cp874": "cp874",
    "ibm437": "cp437", "cp437": "cp437", "ibm850": "cp850", "cp850": "cp850", "ibm852": "cp852", "cp852": "cp852",
    "hz-gb-2312": "hz", "iso-2022-kr": "iso2022_kr", "utf-32": "utf-32", "utf-32le": "utf-32-le", "utf-32be": "utf-32-be",
}  # fmt: skip


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
    if charset := _wide_charset(payload, transport):
        return _decoded(payload, charset)
    if _SHIFT not in payload and (text := _as_utf8(payload)) is not None:
        num_controls = len(payload) - len(payload.translate(None, _CONTROL_BYTES))
        return Decoded(undo_double_encoding(text), "utf-8", num_controls / max(1, len(text)))
    if _mostly_utf8(payload):
        return _decoded(payload, "utf-8")
    best: Decoded | None = None
    for charset in dict.fromkeys(_candidates(payload, transport, html)):
        decoded = _decoded(payload, charset)
        if decoded.damaged_share < _BELIEVABLE_DAMAGE:
            return decoded
        if best is None or decoded.damaged_share < best.damaged_share:
            best = decoded
    assert best is not None
    return best


def is_plain_utf8(payload: bytes) -> bool:
    """Whether `decode` would find UTF-8, told in a fraction of the time; of what it looks at twice, not always."""
    if b"\0" in payload or _SHIFT in payload:
        return False
    return payload.isascii() or _as_utf8(payload) is not None


def _candidates(payload: bytes, transport: str, html: bool) -> Iterator[str]:
    """Charsets to try, in order of trust."""
    stated = [codec_name(transport), _declared(payload) if html else ""]
    if "cp1252" in stated and not _may_be_latin(payload):
        stated = [charset for charset in stated if charset != "cp1252"]
    yield from filter(None, stated)
    yield _detected(payload)
    yield "utf-8"
    yield "cp1252"


def _declared(payload: bytes) -> str:
    """The charset that a page says it has, or empty."""
    for match in _META.finditer(payload, 0, _DETECT_BYTES):
        if match[2]:
            declared = codec_name(match[2].decode("ascii"))
            # A page whose declaration can be read as ASCII is not UTF-16.
            return "utf-8" if declared.startswith(("utf-16", "utf-32")) else declared or "utf-8"
    return ""


def _detected(payload: bytes) -> str:
    start = payload[:_DETECT_BYTES]
    charset = codec_name(str(detect_encoding(start))) or "utf-8"
    # What the detector does not know comes back as UTF-8; it knows no Korean.
    if charset == "utf-8" and not _may_be_latin(start):
        text = start.decode("cp949", "ignore")
        if 2 * len(_HANGUL.findall(text)) > len(_ABOVE_ASCII.findall(text)):
            return "cp949"
    return charset


def _may_be_latin(payload: bytes) -> bool:
    """Whether bytes above ASCII stand beside ASCII letters, as marked letters do; those of other scripts stand together."""
    start = payload[:_DETECT_BYTES]
    num_together = sum(len(run[0]) for run in _OTHER_LETTERS.finditer(start))
    return 2 * num_together <= len(start.translate(None, _ASCII_BYTES))


def _mostly_utf8(payload: bytes) -> bool:
    """Whether most of what is not ASCII is UTF-8; in no other charset is it so by chance."""
    text = payload[:_DETECT_BYTES].decode("utf-8", "replace")
    return len(_ABOVE_ASCII.findall(text)) > 2 * text.count("\ufffd")


def codec_name(label: str) -> str:
    """The Python codec for a label of the web (https://encoding.spec.whatwg.org), or empty if nobody knows it."""
    label = label.strip().strip("\"'").lower()
    if not label:
        return ""
    name = str(map_encoding_to_html5(label))
    if name == "utf-8" and not label.replace("_", "-").endswith(("utf-8", "utf8")):
        name = _OTHER_LABELS.get(label, "")  # unknown labels come back as UTF-8
    name = _SUPERSETS.get(name, name)
    try:
        return codecs.lookup(name).name
    except LookupError:
        return ""


def _wide_charset(payload: bytes, transport: str) -> str:
    """UTF-16 or UTF-32 without a mark: by the null bytes of its Latin letters and spaces, or as the transport says."""
    start = payload[:_WIDE_BYTES]
    stated = codec_name(transport)
    if stated.startswith(("utf-16", "utf-32")) and not _damage(start.decode(stated, "ignore")):
        return stated if start.translate(None, _CONTROL_BYTES) != start else ""
    num_controls = len(start) - len(start.translate(None, _CONTROL_BYTES))
    if start.count(0) < len(start) * _MIN_NULL_SHARE or (num_controls < len(start) / 5 and _as_utf8(start) is not None):
        return ""  # a text with a stray null byte
    in_even, in_odd = start[::2].count(0), start[1::2].count(0)
    for charset, holds in (
        ("utf-32-le", in_even > len(start) / 5 and start[3::4].count(0) * 4 > len(start) * 0.9),
        ("utf-32-be", in_odd > len(start) / 5 and start[::4].count(0) * 4 > len(start) * 0.9),
        ("utf-16-le", in_odd > in_even),
        ("utf-16-be", in_even > in_odd),
    ):
        if holds and _damage(start.decode(charset, "ignore")) < _BELIEVABLE_DAMAGE:
            return charset
    return ""


def _as_utf8(payload: bytes) -> str | None:
    """The text, if `payload` is UTF-8, perhaps cut off inside its last character."""
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(payload) - 3 or error.reason != "unexpected end of data":
            return None
        return payload[: error.start].decode("utf-8")


def _decoded(payload: bytes, charset: str) -> Decoded:
    if charset in _JIS:
        codecs.register_error(_JIS_ERRORS, _jis_extension)
    text = payload.decode(charset, _JIS_ERRORS if charset in _JIS else "replace")
    return Decoded(text, charset, _damage(text))


def _damage(text: str) -> float:
    return len(_DAMAGE.findall(text)) / max(1, len(text))


_JIS = frozenset(("euc_jp", "iso2022_jp_ext"))
_JIS_ERRORS = "corpusmill_jis"


def _jis_extension(error: UnicodeError) -> tuple[str, int]:
    """A character that browsers know in EUC-JP and ISO-2022-JP, such as a number in a circle, and Python only in Shift_JIS."""
    assert isinstance(error, UnicodeDecodeError)
    row, cell = (byte & 0x7F for byte in (*error.object[error.start : error.start + 2], 0, 0)[:2])
    if not (0x21 <= row <= 0x7E and 0x21 <= cell <= 0x7E):
        return "\ufffd", error.end
    lead = (row + 1) // 2 + (0x70 if row < 0x5F else 0xB0)
    trail = cell + (0x7E if row % 2 == 0 else 0x1F if cell < 0x60 else 0x20)
    return bytes((lead, trail)).decode("cp932", "replace")[:1], error.start + 2
