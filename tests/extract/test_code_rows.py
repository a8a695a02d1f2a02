"""Code in rows and lines of its own is code again; other tables stay."""

import pytest
from selectolax.lexbor import LexborHTMLParser

from pipeline.extract.blocks import PRE, read_blocks
from pipeline.extract.code_rows import join_code_rows


@pytest.mark.parametrize(
    ("html", "texts"),
    [
        # a table with a row a line; blank lines stay
        (
            '<table><tr><td class="blob-num"><td class="blob-code">if x:</td><tr><td><td class="blob-code">    y</td>'
            '<tr><td><td class="blob-code">\n</td><tr><td><td class="blob-code blob-code-inner"><b>z</b></td></table>',
            ["if x:\n    y\n\nz"],
        ),
        (
            '<pre><table><tr><td class="hljs-ln-code">a</td><tr><td class="hljs-ln-code">  b</td></table></pre>',
            ["a\n  b"],
        ),
        # one cell for all lines
        (
            '<div class="syntaxhighlighter"><table><tr><td class="code"><div class="container"><div class="line">a</div>'
            '<div class="line alt1"><code>\u00a0\u00a0</code><code>b</code></div></div></table></div>',
            ["a\n\u00a0\u00a0b"],
        ),
        # no table at all
        ('<div class="fragment"><div class="line">f() {</div><div class="line">  x;</div></div>', ["f() {\n  x;"]),
        # a comparison of two versions, and a table inside another
        (
            '<table><tr><td class="blob-code">a</td><td class="blob-code">b</td></table>',
            ["a | b"],
        ),
        (
            '<table><tr><td class="blob-code">a<table><tr><td class="blob-code">b</table></table>',
            ["ab"],
        ),
        # other things of the name
        ('<div class="fragment"><p>Some text.</p><div class="line">x</div></div>', ["Some text.", "x"]),
        ('<div class="fragment">text</div>', ["text"]),
        ('<p class="blob-code">text</p>', ["text"]),
    ],
)
def test_code_rows(html: str, texts: list[str]) -> None:
    tree = LexborHTMLParser(html)
    joined = join_code_rows(tree)
    page = read_blocks(tree)
    assert [block.text for block in page.blocks] == texts
    assert joined == sum(bool(page.elements[block.element].ancestors & PRE) for block in page.blocks)
