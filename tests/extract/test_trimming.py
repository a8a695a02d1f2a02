"""Comments below an article, and promotions inside it."""

import pytest

from pipeline.extract.config import ExtractConfig
from pipeline.extract.html import extract_html
from pipeline.extract.results import Extracted

_PARAGRAPH = "<p>The council voted on Tuesday to widen the northern road, and the work will begin in the spring of next year.</p>"
_COMMENT = (
    "<div><p>I do not believe a word of it, they have promised this road since I was a child in school here.</p></div>"
)


def text_of(body: str) -> str:
    head = '<title>The road</title><meta property="og:type" content="article">'
    result = extract_html(
        f"<html><head>{head}</head><body>{body}</body></html>".encode(), config=ExtractConfig(scope="article")
    )
    assert isinstance(result, Extracted)
    return result.text


@pytest.mark.parametrize(
    "heading",
    ["Comments", "12 comments", "Top Rated Comments", "Kommentare (3)", "Commentaires", "评论", "Комментарии:"],
)
def test_what_follows_a_comments_heading_is_no_article(heading: str) -> None:
    text = text_of(f"<article><h1>The road</h1>{_PARAGRAPH * 6}<h3>{heading}</h3>{_COMMENT * 4}</article>")
    assert "widen the northern road" in text
    assert "do not believe" not in text


@pytest.mark.parametrize(
    "heading",
    [
        "Comments on the draft budget",  # a heading of the article itself
        "No comment",
    ],
)
def test_other_headings_end_nothing(heading: str) -> None:
    text = text_of(f"<article><h1>The road</h1>{_PARAGRAPH * 6}<h3>{heading}</h3>{_PARAGRAPH * 3}</article>")
    assert text.count("widen the northern road") == 9


def test_a_link_to_the_comments_above_the_article_ends_nothing() -> None:
    text = text_of(f"<article><h1>The road</h1><p>Comments</p>{_PARAGRAPH * 6}</article>")
    assert text.count("widen the northern road") == 6


def test_a_link_in_capitals_between_paragraphs_is_left_out() -> None:
    promotion = '<p><a href="/x">MAYOR OPENS NEW BRIDGE OVER THE RIVER</a></p>'
    text = text_of(f"<article><h1>The road</h1>{_PARAGRAPH * 3}{promotion}{_PARAGRAPH * 3}</article>")
    assert "MAYOR" not in text
    assert text.count("widen the northern road") == 6
