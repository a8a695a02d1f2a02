"""HTML as bytes, read for its links and for what its meta elements say: the charset, the elements that matter.

Pages are parsed as browsers do (lexbor). A page that could be made to hurt is tamed first (`taming`), or scanned
with regular expressions instead, which takes time in proportion to its length and finds the same elements in all
but odd markup.
"""

import codecs
import html as entities
import re
from collections.abc import Iterator

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from pipeline import charset
from pipeline.taming import tamed, without_unseen

MAX_HTML_BYTES = 4 << 20  # of a page that is searched for links; the rest is ignored
_SELECTOR = "a,area,iframe,frame,link,meta,base"  # names alone: twice as fast as with attributes
# A selected option is not copied into each `selectedcontent`: it brings no new link, and takes time with the square of
# the number of options.
_OPTIONS = LexborDocumentOptions.WO_EVENTS
_WISHES = {"robots": "robots", "x-robots-tag": "robots", "tdm-reservation": "tdm-reservation"}
_TAG = re.compile(rb"<(a|area|iframe|frame|link|meta|base)(\s[^<>]*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"([A-Za-z-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")

_HTML_START = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|title|meta|script|h1|div|p|a|table|br|b|font|style|iframe)[\s>/]",
    re.IGNORECASE,
)
_BLANKS = b" \t\n\v\f\r\x00"


def begins_as_html(start: bytes) -> bool:
    """Whether the first bytes of a payload are those of an HTML page, comments and declarations left aside."""
    return _HTML_START.match(_after_comments(start)) is not None


def _after_comments(start: bytes) -> bytes:
    """`start` from its first byte that is no mark, no space and in no comment or XML declaration."""
    start = start.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
    while start.startswith((b"<!--", b"<?")):
        _, _, start = start.partition(b"-->" if start.startswith(b"<!--") else b">")
        start = start.lstrip(_BLANKS)
    return start


def page_metas(html: bytes) -> list[tuple[str, str]]:
    """The named meta elements of a page (UTF-8), as (name, content), in document order."""
    return [
        meta
        for tag, attributes in elements(html[:MAX_HTML_BYTES])
        if tag == "meta" and (meta := named_meta(attributes))
    ]


def named_meta(attributes: "dict[str, str | None]") -> tuple[str, str] | None:
    """Name and content of a meta element that has both."""
    name = _meta_name(attributes) if "content" in attributes else ""
    return (name, attributes["content"] or "") if name else None


def elements(html: bytes) -> Iterator[tuple[str, dict[str, str | None]]]:
    """The elements that matter, in document order, with their attributes."""
    tame = tamed(html)
    if tame is None:
        return scanned(html)
    nodes = LexborHTMLParser(tame, options=_OPTIONS).css(_SELECTOR)
    return ((node.tag or "", node.attributes) for node in nodes)


def scanned(html: bytes) -> Iterator[tuple[str, dict[str, str | None]]]:
    """As `elements`, without a tree."""
    for tag in _TAG.finditer(without_unseen(html)):
        attributes: dict[str, str | None] = {}
        for found in _ATTRIBUTE.finditer(tag[2]):
            value = found[2] or found[3] or found[4] or b""
            attributes.setdefault(found[1].decode().lower(), entities.unescape(value.decode("utf-8", "replace")))
        yield tag[1].decode().lower(), attributes


def _meta_name(attributes: "dict[str, str | None]") -> str:
    """The name of a meta element. Some sites write a wish as a property, or in place of the header."""
    name = attributes.get("name")
    if name:
        return name
    return _WISHES.get((attributes.get("property") or attributes.get("http-equiv") or "").strip().lower(), "")


def header_charset(content_type: str) -> str:
    """The charset in a Content-Type header, in lower case, or an empty text."""
    found = re.search(r";\s*charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", content_type, re.IGNORECASE)
    return found[1].lower() if found else ""


def as_utf8(payload: bytes, content_type: str) -> bytes:
    """`payload` in UTF-8, for reading markup: its charset is found as where documents are made of pages."""
    return utf8_and_charset(payload, content_type)[0]


def utf8_and_charset(payload: bytes, content_type: str) -> tuple[bytes, str]:
    """As `as_utf8`, and the charset that the page is in, as a name that Python knows."""
    if charset.is_plain_utf8(payload):
        return payload, "utf-8"
    text, name, _ = charset.decode(payload, transport=header_charset(content_type))
    return (payload if name == "utf-8" else text.encode("utf-8", "replace")), name
