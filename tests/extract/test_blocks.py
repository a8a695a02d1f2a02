"""Pages as blocks, and blocks as text again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from pipeline.extract.blocks import HIDDEN, Blocks, read_blocks
from pipeline.extract.features import FEATURES, features
from pipeline.extract.hints import GROUPS, Hints, words_of
from pipeline.extract.render import render


def blocks_of(html: str) -> Blocks:
    return read_blocks(LexborHTMLParser(html))


@pytest.mark.parametrize(
    ("html", "texts"),
    [
        ("<p>one <b>bold</b>\n  two</p><p>three", ["one bold two", "three"]),
        ("<div>a<p>b</p>c</div>", ["a", "b", "c"]),  # text beside a paragraph is a block of its own
        ("<p>a<br>b<br><br>c</p>", ["a\nb", "c"]),  # two breaks end a paragraph
        ("<p>a<br> <br>b", ["a", "b"]),
        ("<pre>  x = 1\n\n    y\n</pre>", ["  x = 1\n\n    y"]),  # code keeps its lines
        ("<ul><li>a<ul><li>b</ul><li>c</ul>", ["a", "b", "c"]),
        ("<table><tr><th>A<th>B<tr><td>1<td>2</table>", ["A | B", "1 | 2"]),  # a row is a block
        ("<table><tr><td><p>a</p><p>b</p><td>c</table>", ["a", "b", "c"]),  # a table for layout is not
        # empty cells keep their place, those at the end are left out
        ("<table><tr><th><th>A<th>B<tr><th>x<td><td>2<tr><th>y<td>1<td></table>", ["| A | B", "x | | 2", "y | 1"]),
        ("<table><tr><th colspan=2>AB<th>C<tr><td>1<td>2<td>3</table>", ["AB | | C", "1 | 2 | 3"]),
        (
            "<table><tr><td rowspan=2>x<td>1<td>a<tr><td>2<td rowspan=3>b<tr><td>y<td>3</table>",
            ["x | 1 | a", "| 2 | b", "y | 3"],
        ),
        # what one group spans does not reach into the next
        ("<table><thead><tr><td>x<td rowspan=9>y</thead><tr><td>a<td>b</table>", ["x | y", "a | b"]),
        (
            "<table><tr><td colspan=100000>a<td colspan=-1>b<tr><td rowspan=x>c<td>d</table>",
            ["a" + " |" * 40 + " b", "c | d"],
        ),
        ("<xmp><b>x</b>\n  y</xmp><listing>\n a\n  b</listing>", ["<b>x</b>\n  y", " a\n  b"]),  # old names of `pre`
        # powers, and not what is no number, an ordinal or a note
        (
            "<p>10<sup>6</sup> m<sup>2</sup> x<sup>-1</sup> 1<sup>st</sup> word<sup>3</sup> 5<sup><a href=#n>1</a></sup>",
            ["10^6 m^2 x^-1 1st word3 51"],
        ),
        # a question that a button unfolds, and other buttons
        (
            "<h3><button aria-expanded=false>Why?</button></h3><p>So.<button aria-expanded=false>Menu</button>",
            ["Why?", "So."],
        ),
        (
            "<h3>Head<button>Copy link</button></h3><dl><dt><button aria-controls=a>Term</button><dd id=a>x</dl>",
            ["Head", "Term", "x"],
        ),
        ("<script>x</script><style>y</style><nav>menu</nav><p>t<noscript>n</noscript>", ["t"]),
        ("<p>a<!-- c --><?php x ?>b<wbr>c", ["abc"]),
        ("<a href=x><div>linked</div></a><hr>end", ["linked", "end"]),
        ("<my-element>custom</my-element><p> </p>", ["custom"]),
        ("<p>in <my-term>a word</my-term> here", ["in a word here"]),  # which is no block inside a paragraph
        ("<div>in <st1:place>Paris</st1:place> now<o:p></o:p></div>", ["in Paris now"]),  # elements of office programs
        # what is written beside characters to read them by
        ("<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>と<ruby><rb>字</rb><rt>じ</rt></ruby>", ["漢と字"]),
        ("<h2>Head<a class=headerlink href=#head>¶</a></h2><p>a <a href=#b>#</a>", ["Head", "a"]),
        ("<p>a <a href=/tags>#</a> <a href=#b>§ 5</a>", ["a # § 5"]),
        ("", []),
        ("<body></body>", []),
    ],
)
def test_blocks(html: str, texts: list[str]) -> None:
    assert [block.text for block in blocks_of(html).blocks] == texts


def test_links_are_counted() -> None:
    block = blocks_of("<p>see <a href=1>this</a> and <a href=2> that </a>").blocks[0]
    assert (block.num_links, block.link_chars) == (2, 8)


def test_hidden_elements_are_marked() -> None:
    page = blocks_of('<div style="display: none"><p>a</p></div><p hidden>b</p><p>c<p hidden=until-found>d')
    hidden = [bool(page.elements[block.element].ancestors & HIDDEN) for block in page.blocks]
    assert hidden == [True, True, False, False]  # what a search unfolds is no secret


TAG_NAMES = "div p ul li table tr td h1 b a pre br span blockquote section article"
NAMES = st.sampled_from(TAG_NAMES.split())
PIECES = st.one_of(
    NAMES.map("<{}>".format), NAMES.map("</{}>".format), st.sampled_from(["text ", "more. ", "\n", "x" * 90 + ". "])
)


@given(st.lists(PIECES, max_size=60).map("".join))
def test_any_markup_gives_blocks_with_true_ranges(html: str) -> None:
    page = blocks_of(html)
    for number, element in enumerate(page.elements):
        assert -1 <= element.parent < number or number == 0
        assert 0 <= element.first_block <= element.end_block <= len(page.blocks)
        if number:
            parent = page.elements[element.parent]
            assert parent.first_block <= element.first_block
            assert element.end_block <= parent.end_block
    for number, block in enumerate(page.blocks):
        assert block.text.strip()
        assert page.elements[block.element].first_block <= number < page.elements[block.element].end_block
    if page.blocks:
        matrix = features(page, "a title", Hints({}))
        assert matrix.shape == (len(page.blocks), len(FEATURES))
        assert abs(matrix).max() < 1e6  # and no NaN
        render(page, list(range(len(page.blocks))))


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h2>Head</h2><p>a</p><p>b", "Head\n\na\n\nb"),
        ("<p>list:<ul><li>one<li>two<ol><li>x<li>y</ol></ul><p>end", "list:\n\n- one\n- two\n  1. x\n  2. y\n\nend"),
        ("<ol start=3><li>x<li>y</ol><p>z<ol start=''><li>a</ol>", "3. x\n4. y\n\nz\n\n1. a"),
        ("<ol start=3><li>x<li value=7>y<li>z</ol>", "3. x\n7. y\n8. z"),
        ("<ol start=-1><li>x<li>y<li>z</ol>", "-1. x\n0. y\n1. z"),
        ("<ol reversed><li>x<li>y</ol>", "2. x\n1. y"),
        ("<ol reversed start=9 type=i><li>x<li>y</ol>", "ix. x\nviii. y"),
        ("<ol type=a start=26><li>x<li>y</ol><ol type=I start=1994><li>z</ol>", "z. x\naa. y\n\nMCMXCIV. z"),
        ("<ol style='list-style-type:upper-latin'><li>x</ol><ol style='list-style: none'><li>y</ol>", "A. x\n\n- y"),
        ("<ol type=a start=0><li>x</ol><ol type=disc><li>y</ol>", "0. x\n\n1. y"),  # which letters cannot write
        ("<ul><li>x</ul><ul><li>y</ul>", "- x\n\n- y"),  # two lists
        # items that are far in, and items that hold a page
        ("<ol><li><div><div><div><p>far</div></div></div><li>y</ol>", "1. far\n2. y"),
        ("<ul><li><div><div><div>" + "<p>x" * 4 + "</div></div></div></ul>", "x\n\nx\n\nx\n\nx"),
        (
            "<dl><dt>term<dd>meaning<ul><li>a<li>b</ul><dt>other<dd><ol><li>x</ol></dl>",
            "term\nmeaning\n  - a\n  - b\n\nother\n  1. x",
        ),
        # parts of a page
        ("<ul><li><h3>head</h3><p>x</p><li><h3>next</h3><p>y</p></ul>", "head\n\nx\n\nnext\n\ny"),
        # cells with paragraphs and lines of their own are cells of a row, if they are short
        ("<table><tr><td><p>a</p><td><p>b<br>c</p><p>d</p></table>", "a | b c d"),
        ("<table><tr><td><p>a</p><td><td><p>b</p></table>", "a | | b"),
        ("<table><tr><td><p>a</p><td><p>" + "b" * 301 + "</p></table>", "a\n" + "b" * 301),
        ("<table><tr><td>a<td><p>" + "b" * 60 + "<p>" + "c" * 60 + "</table>", "a\n\n" + "b" * 60 + "\n\n" + "c" * 60),
        ("<table><tr><td><h2>a</h2><p>b<td><p>c</table>", "a\n\nb\n\nc"),  # a table for layout
        ("<table><tr><td><p>a</p><p>b</p>c<br><br>d</table>", "a\n\nb\n\nc\n\nd"),
        ("<table><tr><td>a<td><ul><li>b<li>c</ul></table>", "a\n\n- b\n- c"),
        ("<table><tr><td>a<td><pre>b\n  c</pre></table>", "a\nb\n  c"),
        ("<ul><li><p>first</p><p>second</p></ul>", "- first\n  second"),
        ("<table><tr><th>A<th>B<tr><td>1<td>2</table>", "A | B\n1 | 2"),
        ("<dl><dt>term<dd>meaning<dt>other<dd>more</dl>", "term\nmeaning\n\nother\nmore"),
        ("<p>code:<pre>def f():\n    return 1\n</pre>", "code:\n\ndef f():\n    return 1"),
        ("<dl><dt>one<dt>two<dd>meaning<dd>another</dl>", "one\ntwo\nmeaning\nanother"),
        # lines of code as elements of their own
        ("<pre><div>if x:</div><div>    y</div></pre><pre>z</pre>", "if x:\n    y\n\nz"),
        ("<pre><ol><li>if x:<li>    y</ol></pre>", "if x:\n    y"),
    ],
)
def test_render(html: str, text: str) -> None:
    page = blocks_of(html)
    assert render(page, list(range(len(page.blocks)))) == text


def test_render_leaves_out_what_is_not_chosen() -> None:
    page = blocks_of("<p>a<p>b<ul><li>c<li>d</ul>")
    assert render(page, [0, 3]) == "a\n\n- d"
    assert render(page, []) == ""
    assert render(blocks_of("<ol><li><p>a<p>b<p>c"), [1, 2]) == "1. b\n  c"  # the first that is there has the mark


def test_words_of_names() -> None:
    assert words_of("articleBody article-body post_1234 NAV x") == ["article", "body", "post", "nav"]


def test_hints_sum_weights_and_groups() -> None:
    hints = Hints({"article": 0.5, "comment": -1.0})
    weight, groups = hints.of("article-comment")
    assert weight == -0.5
    assert {name for bit, (name, _) in enumerate(GROUPS) if groups >> bit & 1} == {"content", "comment"}
    assert hints.of("article-comment") == (weight, groups)
