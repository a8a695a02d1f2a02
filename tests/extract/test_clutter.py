"""Line numbers of code and edit links go; what only looks like them stays."""

import pytest
from selectolax.lexbor import LexborHTMLParser

from pipeline.extract.blocks import read_blocks
from pipeline.extract.clutter import drop_clutter


@pytest.mark.parametrize(
    ("html", "texts"),
    [
        # numbers in the lines
        ('<pre><span class="lineno">1 </span>x\n<span class="lineno">2 </span>y</pre>', ["x\ny"]),
        ('<pre><span class="ln">1</span>x\n<span class="ln">2</span>y</pre>', ["x\ny"]),
        # in a column of their own
        ('<table><tr><td class="linenos"><pre>1\n2</pre><td class="code"><pre>x\ny</pre></table>', ["x\ny"]),
        (
            '<table><tr><td class="rouge-gutter gl"><pre class="lineno">1\n2\n</pre><td><pre>x\ny</pre></table>',
            ["x\ny"],
        ),
        ('<table><tr><td class="gutter"><div class="line">1</div><td class="code"><pre>x</pre></table>', ["x"]),
        ('<pre class="line-numbers">x<span class="line-numbers-rows"><span></span></span></pre>', ["x"]),
        ('<h2>History<span class="mw-editsection">[<a href="/e">edit</a>]</span></h2>', ["History"]),
        # what has other text in it, or another name
        ('<pre><span class="lineno">10 PRINT</span></pre>', ["10 PRINT"]),
        ('<pre class="line-numbers">1\n2</pre>', ["1\n2"]),
        ("<pre>1 x\n2 y</pre>", ["1 x\n2 y"]),
    ],
)
def test_clutter(html: str, texts: list[str]) -> None:
    tree = LexborHTMLParser(html)
    drop_clutter(tree)
    assert [block.text for block in read_blocks(tree).blocks] == texts
