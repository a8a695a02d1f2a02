"""The links of an HTML page and what its meta elements say, from one pass over its markup (`pipeline.markup`)."""

import re
from typing import NamedTuple
from urllib.parse import quote

from pipeline.markup import MAX_HTML_BYTES, elements, named_meta
from pipeline.urls import Resolver, canonical_url

_ATTRIBUTES = {"a": "href", "area": "href", "iframe": "src", "frame": "src"}
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
_REFRESH = re.compile(r"\s*[\d.]*\s*[;,]?\s*(?:url\s*=)?\s*([\"']?)", re.IGNORECASE)
_UNENCODABLE = re.compile(rb"&#([0-9]+);")  # a character that the charset of the page lacks
_PLAIN_OCTETS = bytes(range(128)).replace(b"#", b"")  # in a query; ISO 2022 writes letters with ASCII, # among it
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


def page_links(
    html: bytes, url: str, *, limit: int, follow_nofollow: bool = False, charset: str = "utf-8"
) -> PageLinks:
    """The links of a page (UTF-8) at the canonical URL `url`, at most `limit`, and its named meta elements.

    Links marked `rel=nofollow` (also `ugc` and `sponsored`, which imply it) are left out unless wanted. `charset` is
    that which the page was in: its queries are sent in it.
    """
    references: list[str] = []
    metas: list[tuple[str, str]] = []
    base = ""
    for tag, attributes in elements(html[:MAX_HTML_BYTES]):
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
        elif (attributes.get("http-equiv") or "").strip().lower() == "refresh":
            references.append(_refreshed(attributes.get("content") or ""))
        elif meta := named_meta(attributes):
            metas.append(meta)
    if not charset.startswith("utf"):
        references = [_with_query_in(reference, charset) for reference in references]
    return PageLinks(_resolved(references, _base(base, url), limit), metas)


def _with_query_in(reference: str, charset: str) -> str:
    """The reference of a page in `charset`: browsers send its path in UTF-8 and its query in that charset (WHATWG URL, 4.4)."""
    if reference.isascii():
        return reference
    rest, number_sign, fragment = reference.partition("#")
    path, question_mark, query = rest.partition("?")
    octets = _UNENCODABLE.sub(rb"%26%23\1%3B", query.encode(charset, "xmlcharrefreplace"))
    return f"{path}{question_mark}{quote(octets, safe=_PLAIN_OCTETS)}{number_sign}{fragment}"


def _refreshed(content: str) -> str:
    """The reference in the content of a refresh, `5; url='x'`; empty if the page only asks to be loaded again."""
    start = _REFRESH.match(content)
    assert start is not None  # it matches nothing, too
    reference = content[start.end() :]
    return (reference.partition(start[1])[0] if start[1] else reference).strip().strip("\"'").strip()


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
