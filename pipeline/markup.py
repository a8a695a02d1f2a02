"""HTML as bytes, read for its links and for what its meta elements say: the charset, the elements that matter.

Pages are parsed as browsers do (lexbor). A page that could be made to hurt is tamed first (`taming`), or scanned
with regular expressions instead, which takes time in proportion to its length and finds the same elements in all
but odd markup.
"""

import codecs
import html as entities
import re
from collections.abc import Iterator

import charset_normalizer
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from pipeline.taming import tamed, without_unseen

MAX_HTML_BYTES = 4 << 20  # of a page that is searched for links; the rest is ignored
_DETECTED_BYTES = 1 << 16
_SELECTOR = "a,area,iframe,frame,link,meta,base"  # names alone: twice as fast as with attributes
# A selected option is not copied into each `selectedcontent`: it brings no new link, and takes time with the square of
# the number of options.
_OPTIONS = LexborDocumentOptions.WO_EVENTS
_WISHES = {"robots": "robots", "x-robots-tag": "robots", "tdm-reservation": "tdm-reservation"}
_TAG = re.compile(rb"<(a|area|iframe|frame|link|meta|base)(\s[^<>]*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"([A-Za-z-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_META_CHARSET = re.compile(rb"<meta[^>]{0,512}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_:.-]+)", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# WHATWG: labels that browsers read as a larger set.
_WIDER = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932", "iso8859-9": "cp1254", "tis-620": "cp874"}  # fmt: skip

_ALIASES = {
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "x-gbk": "gb18030",
    "x-euc-jp": "euc_jp",
    "windows-949": "cp949",
    "x-cp1251": "cp1251",
}


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
    """`payload` in UTF-8, for reading markup: charset by byte order mark, header, declaration, detection, in this order."""
    name = charset_of(payload, content_type)
    return payload if name == "utf-8" else payload.decode(name, "replace").encode("utf-8", "replace")


def charset_of(payload: bytes, content_type: str) -> str:
    """The charset of a page, as a name that Python knows."""
    for mark, name in _BOMS:
        if payload.startswith(mark):
            return name
    declared = [
        header_charset(content_type),
        *(match[1].decode("ascii").lower() for match in _declarations(payload[:4096])),
    ]
    for label in declared:
        known = _known(label)
        if known:
            return known
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError:
        found = charset_normalizer.from_bytes(payload[:_DETECTED_BYTES]).best()
        return _known(found.encoding) or "cp1252" if found else "cp1252"
    return "utf-8"


def _declarations(start: bytes) -> list[re.Match[bytes]]:
    return [match for match in (_XML_CHARSET.search(start), _META_CHARSET.search(start)) if match]


def _known(label: str) -> str:
    """The name that Python has for a text charset, or an empty text."""
    if not label:
        return ""
    try:
        info = codecs.lookup(_ALIASES.get(label, label))
    except LookupError:
        return ""
    if not getattr(info, "_is_text_encoding", True) or info.name.startswith(
        ("utf-7", "idna", "punycode", "unicode_escape", "raw_unicode")
    ):
        return ""
    if info.name.startswith("utf-16"):
        return "utf-8"  # a declaration that can be read as ASCII is wrong; WHATWG says UTF-8
    return _WIDER.get(info.name, info.name)
