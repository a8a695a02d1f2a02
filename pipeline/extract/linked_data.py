"""Linked data of a page (schema.org as JSON-LD) → the facts that metadata wants.

Articles speak before other things, whichever stands first. JSON that pages get wrong in the usual ways (inside comments or CDATA,
with a comma or a semicolon too many) is read; what is still none is passed over.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from selectolax.lexbor import LexborHTMLParser

_MAX_SCRIPT_CHARS = 300_000
_MAX_DEPTH = 6
_TYPES = (
    "article", "posting", "report", "webpage", "recipe", "review", "product", "event", "question", "howto", "book",
    "dataset", "creativework", "learningresource", "sourcecode", "course",
)  # fmt: skip
_ARTICLE = re.compile(r"Article|BlogPosting|Report")
_WANTED = ("headline", "author", "datePublished", "dateCreated", "dateModified", "license")
_EXTRA_COMMA = re.compile(r",(?=\s*[}\]])")


def read_linked_data(tree: LexborHTMLParser) -> dict[str, Any]:
    """The first value of each wanted property, and `is_article` where a thing says that it is one."""
    things: list[Mapping[str, Any]] = []
    names: dict[str, str] = {}
    for node in tree.css('script[type^="application/ld+json" i]'):
        value = _parsed(node.text())
        things += _things(value, 0)
        names.update(_names_by_id(value, 0))
    facts: dict[str, Any] = {}
    for thing in sorted(things, key=lambda thing: not _is_article(thing)):
        for key in _WANTED:
            if thing.get(key):
                facts.setdefault(key, thing[key])
    if "author" in facts:
        facts["author"] = list(_people(facts["author"], names, 0))
    if any(map(_is_article, things)):
        facts["is_article"] = True
    return facts


def text_of(value: Any) -> str:
    """A value as text: of a list its first, of a language-tagged one its own."""
    for _ in range(_MAX_DEPTH):
        if isinstance(value, list):
            value = value[0] if value else ""
        elif isinstance(value, dict):
            value = value.get("@value", "")
    return str(value) if isinstance(value, str | int | float) else ""


def _parsed(source: str) -> Any:
    if len(source) > _MAX_SCRIPT_CHARS:
        return None
    bare = _without_wrapping(source)
    for written in (source, bare, _EXTRA_COMMA.sub("", bare)):
        try:
            return json.loads(written, strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _without_wrapping(source: str) -> str:
    """From the first bracket to the last: what stands around them is comments, CDATA marks and semicolons."""
    source = source.replace("<![CDATA[", "").replace("]]>", "")
    starts = [place for bracket in "{[" if (place := source.find(bracket)) >= 0]
    return source[min(starts, default=0) : max(source.rfind("}"), source.rfind("]")) + 1]


def _is_article(thing: Mapping[str, Any]) -> bool:
    return _ARTICLE.search(str(thing.get("@type"))) is not None


def _things(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            yield from _things(item, depth + 1)
    elif isinstance(value, dict):
        kind = str(value.get("@type", "")).lower()
        if any(name in kind for name in _TYPES):
            yield value
        for key in ("@graph", "mainEntity", "mainEntityOfPage"):
            yield from _things(value.get(key), depth + 1)


def _names_by_id(value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """The names of the things in a graph by their `@id`, which others refer to."""
    if depth > _MAX_DEPTH:
        return
    for item in value if isinstance(value, list) else (value,):
        if isinstance(item, dict):
            if isinstance(item.get("@id"), str) and isinstance(item.get("name"), str):
                yield item["@id"], item["name"]
            yield from _names_by_id(item.get("@graph"), depth + 1)
        elif isinstance(item, list):
            yield from _names_by_id(item, depth + 1)


def _people(value: Any, names: Mapping[str, str], depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _people(item, names, depth + 1)
    elif isinstance(value, dict):
        given = " ".join(str(value[key]) for key in ("givenName", "familyName") if isinstance(value.get(key), str))
        yield from _people(value.get("name") or given or names.get(str(value.get("@id")), ""), names, depth + 1)
