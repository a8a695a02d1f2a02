"""The links of an HTML page and what its meta elements say.

Pages are parsed as browsers do (lexbor). Its time is quadratic in the depth of a tree and in the number of
attributes of one element, so a page that could be made to hurt is scanned with regular expressions
instead, which takes time in proportion to its length and finds the same links in all but odd markup.
"""

import html as entities
import re
from collections.abc import Iterator
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser

from pipeline.urls import canonical_url

MAX_HTML_BYTES = 4 << 20  # of a page that is searched for links; the rest is ignored
_ATTRIBUTES = {"a": "href", "area": "href", "iframe": "src", "frame": "src"}
_SELECTOR = "a[href],area[href],iframe[src],frame[src],link[href][rel],meta[content],base[href]"
_FOLLOWED_RELATIONS = frozenset(
    {
        "next",
        "prev",
        "previous",
        "canonical",
        "alternate",
        "amphtml",
        "first",
        "last",
        "start",
        "contents",
        "index",
        "up",
    }
)
_SKIPPED_ALTERNATES = (
    "application/rss",
    "application/atom",
    "application/json",
    "text/xml",
    "application/xml",
    "application/rdf",
    "text/css",
    "image/",
)
_MAX_TAGS = 20_000  # that are parsed; 0.4 s if they are all nested
_MAX_ATTRIBUTES = 2_000
_LONG_TAG_BYTES = 16_384
_UNSEEN = re.compile(
    rb"<!--.*?(?:-->|$)|<(script|style|template|noscript|textarea|title)\b.*?(?:</\1|$)", re.IGNORECASE | re.DOTALL
)
_TAG = re.compile(rb"<(a|area|iframe|frame|link|meta|base)(\s[^<>]*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"([A-Za-z-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_REFRESH = re.compile(r"\s*[\d.]*\s*[;,]?\s*(?:url\s*=\s*)?[\"']?\s*(.+?)\s*[\"']?\s*$", re.IGNORECASE | re.DOTALL)
_OTHER_SCHEMES = (
    "javascript:",
    "mailto:",
    "tel:",
    "data:",
    "#",
    "sms:",
    "whatsapp:",
    "about:",
    "blob:",
    "file:",
    "ftp:",
)


class PageLinks(NamedTuple):
    """What a page points to and says of itself. `links` are canonical URLs in document order, each once."""

    links: list[str]
    metas: list[tuple[str, str]]


def page_links(html: bytes, url: str, *, limit: int, follow_nofollow: bool = False) -> PageLinks:
    """The links of a page (UTF-8) at the canonical URL `url`, at most `limit`, and its named meta elements.

    Links marked `rel=nofollow` (also `ugc` and `sponsored`, which imply it) are left out unless wanted.
    """
    references: list[str] = []
    metas: list[tuple[str, str]] = []
    base = ""
    for tag, attributes in _elements(html[:MAX_HTML_BYTES]):
        if tag in _ATTRIBUTES:
            if follow_nofollow or not _is_nofollow(attributes.get("rel")):
                references.append(attributes.get(_ATTRIBUTES[tag]) or "")
        elif tag == "link":
            if _is_followed(attributes):
                references.append(attributes.get("href") or "")
        elif tag == "base":
            base = base or attributes.get("href") or ""
        elif (attributes.get("http-equiv") or "").lower() == "refresh":
            refreshed = _REFRESH.match(attributes.get("content") or "")
            references.append(refreshed[1] if refreshed else "")
        elif attributes.get("name"):
            metas.append((attributes["name"] or "", attributes.get("content") or ""))
    return PageLinks(_resolved(references, _base(base, url), limit), metas)


def _elements(html: bytes) -> Iterator[tuple[str, dict[str, str | None]]]:
    """The elements that matter, in document order, with their attributes."""
    if html.count(b"<") > _MAX_TAGS or _has_long_tag(html):
        yield from _scanned(html)
        return
    for node in LexborHTMLParser(html).css(_SELECTOR):
        yield node.tag or "", node.attributes


def _has_long_tag(html: bytes) -> bool:
    """Whether there may be an element with very many attributes."""
    if len(html) <= _LONG_TAG_BYTES:
        return False
    pieces = html.split(b">")  # each ends inside a tag
    if max(map(len, pieces)) <= _LONG_TAG_BYTES:
        return False
    tags = (piece[piece.rfind(b"<") :] for piece in pieces if len(piece) > _LONG_TAG_BYTES)
    return any(len(tag) > _LONG_TAG_BYTES and len(tag.split()) > _MAX_ATTRIBUTES for tag in tags)


def _scanned(html: bytes) -> Iterator[tuple[str, dict[str, str | None]]]:
    """As `_elements`, without a tree."""
    for tag in _TAG.finditer(_UNSEEN.sub(b" ", html)):
        attributes: dict[str, str | None] = {}
        for found in _ATTRIBUTE.finditer(tag[2]):
            value = found[2] or found[3] or found[4] or b""
            attributes.setdefault(found[1].decode().lower(), entities.unescape(value.decode("utf-8", "replace")))
        yield tag[1].decode().lower(), attributes


def _is_nofollow(relation: str | None) -> bool:
    return relation is not None and not {"nofollow", "ugc", "sponsored"}.isdisjoint(relation.lower().split())


def _is_followed(attributes: "dict[str, str | None]") -> bool:
    relations = set((attributes.get("rel") or "").lower().split())
    if relations.isdisjoint(_FOLLOWED_RELATIONS) or not relations.isdisjoint({"nofollow", "stylesheet"}):
        return False
    return not (attributes.get("type") or "").lower().startswith(_SKIPPED_ALTERNATES)


def _base(reference: str, url: str) -> str:
    if not reference:
        return url
    try:
        return canonical_url(reference, url)
    except ValueError:
        return url


def _resolved(references: list[str], base: str, limit: int) -> list[str]:
    """The canonical URLs of `references`, each once, in order, at most `limit`."""
    found: dict[str, None] = {}
    for reference in dict.fromkeys(references):
        text = reference.strip()
        if not text or text[:12].lower().startswith(_OTHER_SCHEMES):
            continue
        try:
            found[canonical_url(text, base)] = None
        except ValueError:
            continue
        if len(found) >= limit:
            break
    return list(found)
