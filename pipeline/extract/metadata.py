"""What a page says about itself: title, author, publication date, canonical address, licence.

In the order of trust: JSON-LD (schema.org), meta elements (Open Graph, article, Dublin Core, citation), marked-up
elements (`rel`, `itemprop`, `time`), then the page's own headings and address. Only statements of
the page count: neither a clock nor the time of the fetch.
"""

import json
import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.extract.dates import iso_date, iso_date_in_url
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
    "publishdate", "publish-date", "dc.date.issued", "dcterms.issued", "dcterms.created", "dc.date", "dcterms.date",
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
_RIGHTS = ("dc.rights", "dcterms.rights", "dcterms.license", "dc.rights.license", "copyright-license", "license")
_MAX_SCRIPT_CHARS = 300_000
_MAX_DEPTH = 6
_ARTICLE_TYPES = (
    "article",
    "posting",
    "report",
    "webpage",
    "recipe",
    "review",
    "product",
    "event",
    "question",
    "howto",
    "book",
)
_DECLARED = re.compile(r"Article|BlogPosting|Report")
_CREATIVE_COMMONS = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z+-]+)(?:/(\d\.\d))?", re.IGNORECASE)
_BYLINE_WORD = re.compile(
    r"^(?:written\s+|posted\s+|published\s+)?(?:by|von|par|por|di|door|av|od)\s*:?\s+", re.IGNORECASE
)
# What stands behind a name in a byline: the date, the place, the office.
_AFTER_NAME = re.compile(
    r"\s+[|·•–—]\s|\s-\s"
    r"|,?\s+(?:on\s+|am\s+|le\s+)?(?=\d{1,4}[./-]\d|\d{1,2}(?:st|nd|rd|th|\.)?\s+[^\W\d_]{3,10}\.?,?\s+\d{4}"
    r"|[^\W\d_]{3,10}\.?\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4})"
)
_CC_WORDS = [
    "Attribution",
    "NonCommercial",
    "Non-Commercial",
    "NoDerivatives",
    "NoDerivs",
    "No-Derivatives",
    "ShareAlike",
    "Share-Alike",
]
_CC_SHORT = {
    word: "BY" if word[0] == "A" else "SA" if word[0] == "S" else "NC" if "om" in word else "ND" for word in _CC_WORDS
}
_CC_PHRASE = re.compile(
    rf"Creative Commons\s+({'|'.join(_CC_WORDS)})((?:[\s-]+(?:{'|'.join(_CC_WORDS)}))*)(?:\s+(?:Unported|International))?(?:\s+(\d\.\d))?"
)
_CC_CODE = re.compile(r"\bCC[ -](BY(?:-(?:NC|ND|SA)){0,2}|0)(?:[ -](\d\.\d))?(?![\w.])")
_MARKUP = re.compile(r"<[^>]{0,300}>")
_SITE_SUFFIX = re.compile(r"\s+[|»–—·•-]\s+[^|»–—·•]{2,60}$")


def read_metadata(tree: LexborHTMLParser, url: str, html: str = "") -> Metadata:
    """The metadata of a parsed page; its address helps with relative links and dates, its markup with licences."""
    meta = _meta_values(tree)
    facts = _linked_data(tree)
    return Metadata(
        title=_title(tree, meta, facts),
        author=_author(tree, meta, facts),
        date=_date(tree, meta, facts, url),
        canonical=_canonical(tree, meta, url),
        licence=_licence(tree, meta, facts, html),
        kind="article" if _declares_article(meta, facts) else "",
    )


def declares_article(tree: LexborHTMLParser) -> bool:
    """Whether a page says that it is an article: `kind` of its metadata, without the rest."""
    return _declares_article(_meta_values(tree), _linked_data(tree))


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
        for key in ("property", "name", "itemprop"):
            if name := attributes.get(key):
                values.setdefault(name.strip().lower(), content)
    return values


def _linked_data(tree: LexborHTMLParser) -> dict[str, Any]:
    """The first value of each wanted schema.org property, articles before other things."""
    facts: dict[str, Any] = {}
    for node in tree.css('script[type="application/ld+json"]'):
        source = node.text()
        if len(source) > _MAX_SCRIPT_CHARS:
            continue
        try:
            value = json.loads(source, strict=False)
        except (ValueError, RecursionError):
            continue
        for thing in _things(value, 0):
            for key in ("headline", "author", "datePublished", "dateCreated", "dateModified", "license"):
                if thing.get(key) and key not in facts:
                    facts[key] = thing[key]
            if _DECLARED.search(str(thing.get("@type"))):
                facts["is_article"] = True
    return facts


def _things(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            yield from _things(item, depth + 1)
    elif isinstance(value, dict):
        kind = str(value.get("@type", "")).lower()
        if any(name in kind for name in _ARTICLE_TYPES):
            yield value
        for key in ("@graph", "mainEntity", "mainEntityOfPage"):
            yield from _things(value.get(key), depth + 1)


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
    title = _text_of(tree.css_first("title"))
    if len(heading) > 8 and heading.casefold() in title.casefold():
        return heading
    candidates = (one_line(unescape(str(facts.get("headline", "")))), _first(meta, _TITLES), title, heading)
    best = next((text for text in candidates if text), "")
    return _without_site(best, _first(meta, ("og:site_name",)))


def _without_site(title: str, site: str) -> str:
    """`title` without the name of the site behind its last separator."""
    match = _SITE_SUFFIX.search(title)
    if match is None or (not site and match.start() < 10):
        return title
    return title[: match.start()] if not site or site.casefold() in match[0].casefold() else title


def _author(tree: LexborHTMLParser, meta: Mapping[str, str], facts: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(filter(None, map(_name, _people(facts.get("author"), 0)))))
    if names:
        return "; ".join(names[:8])
    for key in _AUTHORS:
        if name := _name(meta.get(key, "")):
            return name
    for selector in _BYLINES:
        for node in tree.css(selector)[:2]:
            if name := _name(_text_of(node)):
                return name
    return ""


def _people(value: Any, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _people(item, depth + 1)
    elif isinstance(value, dict):
        yield from _people(value.get("name"), depth + 1)


def _name(text: str) -> str:
    """`text` if it can be somebody's name: without the word for "by", not an address, not a sentence."""
    text = _BYLINE_WORD.sub("", one_line(unescape(text), 120)).strip(" ,;|·-")
    if after := _AFTER_NAME.search(text):
        text = text[: after.start()]
    if not text or "://" in text or "@" in text or len(text.split()) > 8:
        return ""
    return text


def _date(tree: LexborHTMLParser, meta: Mapping[str, str], facts: Mapping[str, Any], url: str) -> str:
    if date := iso_date(str(facts.get("datePublished", ""))):
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
        if date := iso_date(_text_of(node)):
            return date
    stated_late = (
        *(str(facts.get(key, "")) for key in ("dateCreated", "dateModified")),
        *(meta.get(key, "") for key in _LATE_DATES),
    )
    return next((date for stated in stated_late if (date := iso_date(stated))), "")


def _canonical(tree: LexborHTMLParser, meta: Mapping[str, str], url: str) -> str:
    link = tree.css_first('link[rel~="canonical" i]')
    stated = ((link.attributes.get("href") if link is not None else None) or meta.get("og:url", "")).strip()
    base = tree.css_first("base[href]")
    try:
        address = urljoin(urljoin(url, (base.attributes.get("href") or "") if base is not None else ""), stated)
        return urldefrag(address).url if stated and urlsplit(address).scheme in ("http", "https") else ""
    except ValueError:  # not an address
        return ""


def _licence(tree: LexborHTMLParser, meta: Mapping[str, str], facts: Mapping[str, Any], html: str) -> str:
    links = tree.css('[rel~="license" i][href], a[href*="creativecommons.org/" i]')
    for node in sorted(links[:20], key=lambda node: "license" not in (node.attributes.get("rel") or "").lower()):
        if name := licence_name(node.attributes.get("href") or ""):
            return name
    stated = facts.get("license")
    if isinstance(stated, dict):
        stated = stated.get("url") or stated.get("@id") or stated.get("name")
    stated = stated if isinstance(stated, str) else _first(meta, _RIGHTS)
    return licence_name(stated) or creative_commons(meta.get("copyright", "")) or _licence_in_words(html)


def _licence_in_words(html: str) -> str:
    """The Creative Commons licence that a sentence of the page names without a link."""
    place = html.find("Creative Commons ")
    return creative_commons(" ".join(_MARKUP.sub(" ", html[place : place + 300]).split())) if place >= 0 else ""


def licence_name(stated: str) -> str:
    """A short name for a Creative Commons licence, such as `CC-BY-SA-4.0`; other statements as they are."""
    return creative_commons(stated) or ("" if "creativecommons.org" in stated.lower() else one_line(stated, 200))


def creative_commons(stated: str) -> str:
    """The short name of the Creative Commons licence whose address, name or code is in `stated`, or empty."""
    if match := _CREATIVE_COMMONS.search(stated):
        family, kind, version = match[1].lower(), match[2].lower(), match[3]
        if family == "publicdomain":
            return "CC0-1.0" if kind == "zero" else "public domain"
        return _cc_name(kind.upper(), version)
    if match := _CC_PHRASE.search(stated):
        parts = dict.fromkeys(_CC_SHORT[word] for word in re.findall("|".join(_CC_WORDS), match[1] + match[2]))
        return _cc_name("-".join(parts), match[3])
    if match := _CC_CODE.search(stated):
        return "CC0-1.0" if match[1] == "0" else _cc_name(match[1], match[2])
    return ""


def _cc_name(kind: str, version: str | None) -> str:
    return f"CC-{kind}" + (f"-{version}" if version else "")
