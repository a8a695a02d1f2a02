"""What a page says about itself: title, author, publication date, canonical address, licence.

In the order of trust: JSON-LD (schema.org), meta elements (Open Graph, article, Dublin Core, citation), marked-up
elements (`rel`, `itemprop`, `time`), then the page's own headings and address. Only statements of
the page count: neither a clock nor the time of the fetch.
"""

import re
from collections.abc import Iterable, Mapping
from html import unescape
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.extract.dates import iso_date, iso_date_in_url
from pipeline.extract.licences import stated_licence
from pipeline.extract.linked_data import read_linked_data, text_of
from pipeline.extract.normalise import one_line
from pipeline.extract.results import Metadata

_TITLES = ("og:title", "twitter:title", "dc.title", "dcterms.title", "citation_title", "title")
_AUTHORS = (
    "author",
    "article:author",
    "dc.creator",
    "dcterms.creator",
    "citation_author",
    "parsely-author",
    "sailthru.author",
    "byl",
)
_DATES = (
    "article:published_time", "og:published_time", "datepublished", "parsely-pub-date", "sailthru.date", "pubdate",
    "publishdate", "publish-date", "publication_date", "article:published", "og:article:published_time", "dc.date.issued",
    "dc.date.created", "dcterms.issued", "dcterms.created", "dc.date", "dcterms.date",
    "citation_publication_date", "citation_date", "article.published", "date",
)  # fmt: skip
_LATE_DATES = ("article:modified_time", "og:updated_time", "last-modified")
_BYLINES = (
    '[rel~="author"]', '[itemprop="author"] [itemprop="name"]', '[itemprop="author"]', ".author-name", ".byline-name",
    ".byline", ".author", '[class*="author" i] a', '[class*="byline" i]', '[class*="author" i]', '[class*="autor" i]',
)  # fmt: skip
_DATED = (
    '[class*="date" i], [class*="publi" i], [class*="posted" i], [id*="date" i], [class*="time" i], [class*="datum" i], '
    '[class*="byline" i]'
)
_BYLINE_WORD = re.compile(
    r"^(?:(?:written\s+|posted\s+|published\s+|escrito\s+|écrit\s+|scritto\s+)?(?:by|von|par|por|di|da|door|av|od)\s*:?\s+"
    r"|(?:authors?|autor(?:in|es?|i)?|auteurs?|text|texte|testo|автор|作者|撰文|记者|記者|文|著者|執筆)\s*[:：/／]\s*)",
    re.IGNORECASE,
)
# What stands behind a name in a byline: the date, the place, the office.
_AFTER_NAME = re.compile(
    r"\s+[|·•–—]\s|\s-\s"
    r"|,?\s+(?:on\s+|am\s+|le\s+)?(?=\d{1,4}[./-]\d|\d{1,2}(?:st|nd|rd|th|er|\.)?\s+(?:de\s+)?[^\W\d_]{3,10}\.?,?\s+(?:de\s+)?\d{4}"
    r"|[^\W\d_]{3,10}\.?\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4})"
)
_OF_COMMENTS = re.compile(r"(?:^|[\s_-])comment(?:s|ators?|ers?)?(?:[\s_-]|$)", re.IGNORECASE)
# Of these, each element names one author.
_ONE_EACH = ("citation_author", "dc.creator", "dcterms.creator")
_MAX_AUTHORS = 8
_MAX_BYLINES = 2
_LEVELS = 3
_SITE_SUFFIX = re.compile(r"(?:\s+(?:[|»«–—·•-]|::)\s+|\s*｜\s*)[^|»«–—·•｜]{2,60}$")
_SITE_PREFIX = re.compile(r"(.{2,60}?)(?:\s+(?:[|»«–—·•-]|::)\s+|\s*｜\s*|:\s)")


def read_metadata(tree: LexborHTMLParser, url: str, html: str = "") -> Metadata:
    """The metadata of a parsed page; its address helps with relative links and dates, its markup with licences."""
    meta = _meta_values(tree)
    facts = read_linked_data(tree)
    return Metadata(
        title=_title(tree, meta, facts),
        author=_author(tree, meta, facts),
        date=_date(tree, meta, facts, url),
        canonical=_canonical(tree, meta, url),
        licence=stated_licence(tree, meta, facts.get("license"), html),
        kind="article" if _declares_article(meta, facts) else "",
    )


def declares_article(tree: LexborHTMLParser) -> bool:
    """Whether a page says that it is an article: `kind` of its metadata, without the rest."""
    return _declares_article(_meta_values(tree), read_linked_data(tree))


def _declares_article(meta: Mapping[str, str], facts: Mapping[str, Any]) -> bool:
    return (
        "article" in meta.get("og:type", "").lower()
        or "article:published_time" in meta
        or bool(facts.get("is_article"))
    )


def _meta_values(tree: LexborHTMLParser) -> dict[str, str]:
    values: dict[str, str] = {}
    for node in tree.css("meta"):
        attributes = node.attributes
        content = attributes.get("content")
        if not content:
            continue
        for key in ("property", "name", "itemprop", "http-equiv"):
            if name := attributes.get(key):
                values.setdefault(name.strip().lower(), content)
    return values


def _first(values: Mapping[str, str], names: tuple[str, ...]) -> str:
    for name in names:
        if text := one_line(unescape(values.get(name, ""))):
            return text
    return ""


def _text_of(node: LexborNode | None) -> str:
    return one_line(node.text(separator=" ")) if node is not None else ""


def _title(tree: LexborHTMLParser, meta: Mapping[str, str], facts: Mapping[str, Any]) -> str:
    headings = tree.css("h1")
    heading = _text_of(headings[0]) if len(headings) == 1 else ""
    title = next((_text_of(node) for node in tree.css("title") if not _is_picture(node.parent)), "")
    if len(heading) > 8 and heading.casefold() in title.casefold():
        return heading
    candidates = (one_line(unescape(text_of(facts.get("headline")))), _first(meta, _TITLES), title, heading)
    best = next((text for text in candidates if text), "")
    return _without_site(best, _first(meta, ("og:site_name",)))


def _is_picture(node: LexborNode | None) -> bool:
    """Whether titles inside `node` are those of a drawing."""
    return node is not None and node.tag in ("svg", "symbol", "g", "path")


def _without_site(title: str, site: str) -> str:
    """`title` without the name of the site behind its last separator, or before its first where the page says that name."""
    if site and (before := _SITE_PREFIX.match(title)) and before[1].casefold() == site.casefold():
        return title[before.end() :]
    match = _SITE_SUFFIX.search(title)
    if match is None or (not site and match.start() < 10):
        return title
    return title[: match.start()] if not site or site.casefold() in match[0].casefold() else title


def _author(tree: LexborHTMLParser, meta: Mapping[str, str], facts: Mapping[str, Any]) -> str:
    if names := _names(facts.get("author", ())):
        return names
    for key in _AUTHORS:
        if key in meta and (names := _names(_all_values(tree, key) if key in _ONE_EACH else [meta[key]])):
            return names
    for selector in _BYLINES:
        for node in tree.css(selector)[:_MAX_BYLINES]:
            if not _of_a_comment(node) and (name := _name(node.attributes.get("content") or _text_of(node))):
                return name
    return ""


def _names(stated: Iterable[str]) -> str:
    return "; ".join(list(dict.fromkeys(filter(None, map(_name, stated))))[:_MAX_AUTHORS])


def _all_values(tree: LexborHTMLParser, key: str) -> list[str]:
    return [node.attributes.get("content") or "" for node in tree.css(f'meta[name="{key}" i]')]


def _of_a_comment(node: LexborNode) -> bool:
    """Whether a name is that of somebody who commented."""
    above: LexborNode | None = node
    for _ in range(_LEVELS):
        if above is None or above.tag == "body":
            return False
        if _OF_COMMENTS.search(above.attributes.get("class") or "") or _OF_COMMENTS.search(
            above.attributes.get("id") or ""
        ):
            return True
        above = above.parent
    return False


def _name(text: str) -> str:
    """`text` if it can be somebody's name: without the word for "by", not an address, not a sentence."""
    text = _BYLINE_WORD.sub("", one_line(unescape(text), 120)).strip(" ,;|·-")
    if after := _AFTER_NAME.search(text):
        text = text[: after.start()]
    if not text or "://" in text or "@" in text or len(text.split()) > 8:
        return ""
    return text


def _date(tree: LexborHTMLParser, meta: Mapping[str, str], facts: Mapping[str, Any], url: str) -> str:
    if date := iso_date(text_of(facts.get("datePublished"))):
        return date
    for key in _DATES:
        if date := iso_date(meta.get(key, "")):
            return date
    if date := iso_date_in_url(url):
        return date
    for node in tree.css('[itemprop="datePublished"], time')[:4]:
        stated = node.attributes.get("datetime") or node.attributes.get("content") or _text_of(node)
        if date := iso_date(stated):
            return date
    for node in tree.css(_DATED)[:10]:
        if date := iso_date(_text_of(node)) or iso_date(node.attributes.get("title") or ""):
            return date
    stated_late = (
        *(text_of(facts.get(key)) for key in ("dateCreated", "dateModified")),
        *(meta.get(key, "") for key in _LATE_DATES),
    )
    return next((date for stated in stated_late if (date := iso_date(stated))), "")


def _canonical(tree: LexborHTMLParser, meta: Mapping[str, str], url: str) -> str:
    link = tree.css_first('link[rel~="canonical" i][href]')
    stated = ((link.attributes.get("href") if link is not None else None) or meta.get("og:url", "")).strip()
    base = tree.css_first("base[href]")
    return _resolved(url, stated, (base.attributes.get("href") or "") if base is not None else "")


def _resolved(url: str, stated: str, base: str) -> str:
    try:
        address = urljoin(urljoin(url, base), stated)
        return urldefrag(address).url if stated and urlsplit(address).scheme in ("http", "https") else ""
    except ValueError:  # not an address
        return _resolved(url, stated, "") if base else ""
