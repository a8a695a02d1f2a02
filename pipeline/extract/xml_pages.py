"""Pages that are written as XML or hold parts for the browser to unfold → markup that a parser of HTML reads as it is meant.

`<script src="a.js"/>` is a whole element in XHTML, of which books and some sites are made; to a parser of HTML it is the start of one that
takes in the rest of the page. Shadow roots that a page declares are shown in place of their `template`. What
stands in the head for browsers without scripts is none of the text; to a parser without scripts a paragraph there is the start of the body.
"""

import re

_XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
_HEAD_CHARS = 2000
_CLOSES_ITSELF = re.compile(r"<([a-zA-Z][\w:-]*)((?:\s[^<>]{0,2000})?)/>")
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_SHADOW_ROOT = re.compile(r"<template(?=\s[^<>]{0,500}\bshadowrootmode\b)", re.IGNORECASE)

_BEHIND_HEAD = re.compile(r"</head\b|<body\b", re.IGNORECASE)
# Farther away, the start tag was a word in a script.
_MAX_NO_SCRIPT_CHARS = 5000
_NO_SCRIPT = re.compile(r"<(/?)noscript\b[^<>]{0,500}>", re.IGNORECASE)


def as_html(markup: str) -> str:
    """`markup`, changed only where it is XHTML by its first lines, declares shadow roots, or has paragraphs in its head."""
    head = markup[:_HEAD_CHARS]
    if head.lstrip().startswith("<?xml") and _XHTML in head.replace("'", '"'):
        markup = _CLOSES_ITSELF.sub(_opened_and_closed, markup)
    if "shadowrootmode" in markup:
        markup = _SHADOW_ROOT.sub("<shadow-root", markup)
    behind = _BEHIND_HEAD.search(markup)
    if behind and _NO_SCRIPT.search(markup, 0, behind.start()):
        markup = _without_no_script(markup[: behind.start()]) + markup[behind.start() :]
    return markup


def _without_no_script(head: str) -> str:
    """As browsers with scripts read it: all up to the next end tag is inside, if that is near."""
    pieces: list[str] = []
    end, start = 0, -1
    for tag in _NO_SCRIPT.finditer(head):
        if not tag[1] and start < 0:
            start = tag.start()
        elif tag[1] and start >= 0:
            if tag.start() - start <= _MAX_NO_SCRIPT_CHARS:
                pieces.append(head[end:start])
                end = tag.end()
            start = -1
    return "".join((*pieces, head[end:]))


def _opened_and_closed(match: re.Match[str]) -> str:
    name, attributes = match.groups()
    # Elements of drawings and formulas may close themselves in HTML, too.
    return match[0] if name.lower() in _VOID else f"<{name}{attributes}></{name}>"
