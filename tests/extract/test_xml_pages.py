"""XHTML and shadow roots as a parser of HTML reads them."""

import pytest
from selectolax.lexbor import LexborHTMLParser

from pipeline.extract.blocks import read_blocks
from pipeline.extract.xml_pages import as_html

XML = '<?xml version="1.0"?>\n<html xmlns="http://www.w3.org/1999/xhtml">'


@pytest.mark.parametrize(
    ("markup", "texts"),
    [
        # elements that close themselves hold nothing
        (XML + '<head><script src="a.js"/><title/></head><body><a id="x"/><p>one</p></body></html>', ["one"]),
        (XML.replace('"', "'") + "<body><textarea/><iframe src='x' /><p>one<br/>two</p></body>", ["one\ntwo"]),
        # in HTML the slash means nothing
        ("<body><p>one<b/>two</p><script src=x />rest", ["onetwo"]),
        # a shadow root is shown, any other template is not
        ("<x-card><template shadowrootmode=open><p>shown</p></template></x-card><p>rest", ["shown", "rest"]),
        # what browsers without scripts are told in the head
        ("<head><NoScript class=a><p>no scripts?</p></noscript ><title>t</title></head><body><p>rest", ["rest"]),
        ("<noscript><p>a</p></noscript><meta><noscript><p>b</p></noscript><body><p>rest", ["rest"]),
        ("<head><noscript><title>t</title></head><p>rest", ["rest"]),  # one that never ends
        (
            "<script>'<noscript>'</script>" + "<meta>" * 1000 + "<noscript><p>a</p></noscript><body><p>rest",
            ["a", "rest"],
        ),
        ("<body><div>rest<noscript><p>not shown</p></noscript>", ["rest"]),
        ("<template><p>not shown</p></template><p>rest", ["rest"]),
    ],
)
def test_markup_as_it_is_meant(markup: str, texts: list[str]) -> None:
    assert [block.text for block in read_blocks(LexborHTMLParser(as_html(markup))).blocks] == texts
