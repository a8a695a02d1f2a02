"""Headings of what is kept, and the rest of lists, are kept."""

import numpy as np
import pytest
from selectolax.lexbor import LexborHTMLParser

from pipeline.extract.blocks import read_blocks
from pipeline.extract.filling import fill_article, fill_page

LIST = "<ul><li>a<li>b<li><a href=x>c</a><li>d<p>e</ul>"


@pytest.mark.parametrize(
    ("html", "chosen", "article", "page"),
    [
        ("<p>a<h2>b</h2><p>c", "a c", "a b c", "a b c"),
        ("<h2>b</h2><p>c", "c", "c", "b c"),  # what comes first in an article may be anything
        ("<p>a<h2>b</h2><p>c<p>d", "a d", "a d", "a d"),  # it heads what is left out
        ("<p>a<h2>b</h2><h3>c</h3><p>d", "a d", "a d", "a c d"),
        ("<p>a<h2>b</h2><h3>c</h3><p>d", "a c d", "a c d", "a c d"),
        ("<p>a<div><h2>b</h2></div><p>c", "a c", "a b c", "a b c"),
        ("<p>a<div><div><div><h2>b</h2></div></div></div><p>c", "a c", "a c", "a c"),  # a section of its own
        ("<p>a<div>b</div><p>c", "a c", "a c", "a c"),
        ("<p>a<h2>b</h2>", "a", "a", "a"),
        (LIST, "a b", "a b", "a b"),  # half of it
        (LIST, "a b d", "a b d", "a b d"),  # a link is none of the text
        (LIST, "a b c", "a b c", "a b c d e"),
        (LIST, "a b e", "a b e", "a b e"),  # of each item something is kept
        ("<ul><li>a<li>b</ul>", "a", "a", "a"),
        ("", "", "", ""),
        ("<p>a", "a", "a", "a"),
    ],
)
def test_filling(html: str, chosen: str, article: str, page: str) -> None:
    blocks = read_blocks(LexborHTMLParser(html))
    texts = [block.text for block in blocks.blocks]
    flags = np.array([text in chosen.split() for text in texts], dtype=np.bool_)
    before = flags.copy()
    for fill, expected in ((fill_article, article), (fill_page, page)):
        assert [text for text, kept in zip(texts, fill(blocks, flags), strict=True) if kept] == expected.split()
    assert np.array_equal(flags, before)
