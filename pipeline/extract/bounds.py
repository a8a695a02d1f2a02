"""Limits that depend on the page alone, checked before any parser sees it.

Parsers of HTML take quadratic time on deep nesting, and one kilobyte of unclosed formatting elements
before each of many paragraphs grows into gigabytes of tree. The estimate here is cheap and reads no
tree; what still gets past it meets the limits of the child process (see `isolation`).
"""

import re

from pipeline.extract.config import ExtractConfig
from pipeline.extract.results import Refused


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# With fewer tags than this, the worst that nesting can do fits the limits of the child process, so nobody looks.
_HARMLESS_TAGS = 4000
# Unclosed formatting elements times tags: what reconstruction can at most add to the tree.
_MAX_RECONSTRUCTED = 1_000_000
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,20})")
_VOID = _set("area base br col embed hr img input link meta param source track wbr")
_CLOSED_BY_NEXT = _set("p li dt dd tr td th thead tbody tfoot option optgroup colgroup caption rt rp html head body")
_UNCOUNTED = _VOID | _CLOSED_BY_NEXT
_FORMATTING = _set("a b big code em font i nobr s small strike strong tt u")


def refuse_payload(payload: bytes, config: ExtractConfig) -> Refused | None:
    """Why the bytes are too many, or none."""
    if len(payload) > config.max_page_bytes:
        return Refused(reason="too_large", value=len(payload), threshold=config.max_page_bytes)
    return None


def refuse_markup(html: str, config: ExtractConfig) -> Refused | None:
    """Why the markup is too much for a parser, or none."""
    num_tags = html.count("<")
    if num_tags > config.max_tags:
        return Refused(reason="too_many_tags", value=num_tags, threshold=config.max_tags)
    if num_tags <= _HARMLESS_TAGS:
        return None
    depth, unclosed = nesting(html)
    if depth > config.max_depth:
        return Refused(reason="too_deep", value=depth, threshold=config.max_depth)
    if unclosed * num_tags > _MAX_RECONSTRUCTED:
        threshold = _MAX_RECONSTRUCTED // num_tags
        return Refused(reason="too_deep", detail="unclosed formatting elements", value=unclosed, threshold=threshold)
    return None


def nesting(html: str) -> tuple[int, int]:
    """The greatest estimated depth of elements, and of formatting elements alone."""
    open_now: dict[str, int] = {}
    depth = deepest = formatting = most_formatting = 0
    for closing, name in _TAG.findall(html):
        if name in _UNCOUNTED:
            continue
        name = name.lower()
        if name in _UNCOUNTED:
            continue
        number = open_now.get(name, 0)
        if not closing:
            open_now[name] = number + 1
            depth += 1
            if depth > deepest:
                deepest = depth
            if name in _FORMATTING:
                formatting += 1
                most_formatting = max(most_formatting, formatting)
        elif number > 0:
            open_now[name] = number - 1
            depth -= 1
            formatting -= name in _FORMATTING
    return deepest, most_formatting
