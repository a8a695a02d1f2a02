"""The links of an HTML page and what its meta elements say.

Pages are parsed as browsers do (lexbor). A page that could be made to hurt is tamed first (`taming`), or scanned
with regular expressions instead, which takes time in proportion to its length and finds the same links in all
but odd markup.
"""

import html as entities
import re
from collections.abc import Iterator
from typing import NamedTuple

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from pipeline.crawl.taming import tamed, without_unseen
from pipeline.urls import Resolver, canonical_url

MAX_HTML_BYTES = 4 << 20  # of a page that is searched for links; the rest is ignored
_ATTRIBUTES = {"a": "href", "area": "href", "iframe": "src", "frame": "src"}
_SELECTOR = "a,area,iframe,frame,link,meta,base"  # names alone: twice as fast as with attributes
# A selected option is not copied into each `selectedcontent`: it brings no new link, and takes time with the square of
# the number of options.
_OPTIONS = LexborDocumentOptions.WO_EVENTS
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
_WISHES = {"robots": "robots", "x-robots-tag": "robots", "tdm-reservation": "tdm-reservation"}
_NOFOLLOW = frozenset({"nofollow", "ugc", "sponsored"})
_NEVER_FOLLOWED = frozenset({"nofollow", "stylesheet"})
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
_TAG = re.compile(rb"<(a|area|iframe|frame|link|meta|base)(\s[^<>]*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"([A-Za-z-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_REFRESH = re.compile(r"\s*[\d.]*\s*[;,]?\s*(?:url\s*=)?", re.IGNORECASE)
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
        name = _ATTRIBUTES.get(tag)
        if name is not None:
            reference, relation = attributes.get(name), attributes.get("rel")
            if reference and (not relation or follow_nofollow or not _is_nofollow(relation)):
                references.append(reference)
        elif tag == "link":
            if _is_followed(attributes):
                references.append(attributes.get("href") or "")
        elif tag == "base":
            base = base or attributes.get("href") or ""
        elif (attributes.get("http-equiv") or "").lower() == "refresh":
            references.append(_refreshed(attributes.get("content") or ""))
        elif "content" in attributes and (meta := _meta_name(attributes)):
            metas.append((meta, attributes["content"] or ""))
    return PageLinks(_resolved(references, _base(base, url), limit), metas)


def _elements(html: bytes) -> Iterator[tuple[str, dict[str, str | None]]]:
    """The elements that matter, in document order, with their attributes."""
    tame = tamed(html)
    if tame is None:
        return _scanned(html)
    nodes = LexborHTMLParser(tame, options=_OPTIONS).css(_SELECTOR)
    return ((node.tag or "", node.attributes) for node in nodes)


def _scanned(html: bytes) -> Iterator[tuple[str, dict[str, str | None]]]:
    """As `_elements`, without a tree."""
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


def _refreshed(content: str) -> str:
    """The reference in the content of a refresh, `5; url='x'`; empty if the page only asks to be loaded again."""
    start = _REFRESH.match(content)
    return content[start.end() if start else 0 :].strip().strip("\"'").strip()


def _is_nofollow(relation: str) -> bool:
    return not _NOFOLLOW.isdisjoint(relation.lower().split())


def _is_followed(attributes: "dict[str, str | None]") -> bool:
    relations = (attributes.get("rel") or "").lower().split()
    if _FOLLOWED_RELATIONS.isdisjoint(relations) or not _NEVER_FOLLOWED.isdisjoint(relations):
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
    resolve = Resolver(base).resolve
    found: dict[str, None] = {}
    for reference in dict.fromkeys(references):
        text = reference.strip()
        if not text or (not text.startswith("http") and text[:12].lower().startswith(_OTHER_SCHEMES)):
            continue
        try:
            found[resolve(text)] = None
        except ValueError:
            continue
        if len(found) >= limit:
            break
    return list(found)
