"""Pages that are written as XML or hold parts for the browser to unfold → markup that a parser of HTML reads as it is meant.

`<script src="a.js"/>` is a whole element in XHTML, of which books and some sites are made; to a parser of HTML it is the start of one that
takes in the rest of the page. Shadow roots that a page declares are shown in place of their `template`.
"""

import re

_XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
_HEAD_CHARS = 2000
_CLOSES_ITSELF = re.compile(r"<([a-zA-Z][\w:-]*)((?:\s[^<>]{0,2000})?)/>")
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_SHADOW_ROOT = re.compile(r"<template(?=\s[^<>]{0,500}\bshadowrootmode\b)", re.IGNORECASE)


def as_html(markup: str) -> str:
    """`markup`, changed only where it is XHTML by its first lines or declares shadow roots."""
    head = markup[:_HEAD_CHARS]
    if head.lstrip().startswith("<?xml") and _XHTML in head.replace("'", '"'):
        markup = _CLOSES_ITSELF.sub(_opened_and_closed, markup)
    if "shadowrootmode" in markup:
        markup = _SHADOW_ROOT.sub("<shadow-root", markup)
    return markup


def _opened_and_closed(match: re.Match[str]) -> str:
    name, attributes = match.groups()
    # Elements of drawings and formulas may close themselves in HTML, too.
    return match[0] if name.lower() in _VOID else f"<{name}{attributes}></{name}>"
