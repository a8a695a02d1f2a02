"""What stands in a page for the mouse or for the eye alone: numbers of lines of code, and links to edit a section.

Highlighters write line numbers as text of their own class; as part of the code they would be learnt with it. An element goes only if nothing
but digits is in it.
"""

import re

from selectolax.lexbor import LexborHTMLParser

# Pygments and Sphinx, Rouge, Hexo, Chroma, highlight.js, Prism, GitHub, Crayon, and others that call it by its name.
_LINE_NUMBERS = (
    "span.lineno, span.linenos, a.lineno, a.linenos, td.linenos, td.lineno, div.linenodiv, pre.lineno, .linenumber, .linenumbers, .linenum,"
    ".line-number, td.line-numbers, span.line-numbers, .line-numbers-rows, .hljs-ln-numbers, .hljs-ln-line-num, .rouge-gutter, td.gutter,"
    "div.gutter, .blob-num, .crayon-nums, .crayon-num, .ln-num, span.lnt, span.ln, .react-syntax-highlighter-line-number"
)
_NO_TEXT = re.compile(r"[\d\s.:|]*")
_MAX_NUMBERS_CHARS = 100_000
_EDIT_LINKS = ".mw-editsection"


def drop_clutter(tree: LexborHTMLParser) -> int:
    """Takes line numbers and edit links out of the page; returns how many there were."""
    if tree.css_first(f"{_LINE_NUMBERS}, {_EDIT_LINKS}") is None:
        return 0
    dropped = 0
    for node in tree.css(_LINE_NUMBERS):
        numbers = node.text()
        if len(numbers) <= _MAX_NUMBERS_CHARS and _NO_TEXT.fullmatch(numbers):
            node.replace_with("")
            dropped += 1
    for node in tree.css(_EDIT_LINKS):
        node.replace_with("")
        dropped += 1
    return dropped
