"""What is cut from the chosen blocks of an article by rule: readers' comments below it, and promotions between paragraphs.

The classifier judges blocks by form and place, and a comment under an article has the form of a paragraph of
it. What gives comments away is the heading above them. These rules serve articles alone: in a forum the posts are the page.
"""

import re

import numpy as np
import numpy.typing as npt

from pipeline.extract.blocks import Block, Blocks

Flags = npt.NDArray[np.bool_]

# A heading of nothing but "Comments" in one of many languages, with a number or a word of praise or order.
_COMMENTS_HEADING = re.compile(
    r"(?:\d[\d.,]*\s+)?(?:(?:top|all|latest|recent|reader|readers['’]?|user|view|show|see|featured|best|rated|popular|alle|les|los|tutti)\s+){0,3}"
    r"(?:comments?|responses|kommentare?|leserkommentare|commentaires?|comentarios?|commenti|comentários?|reacties|komentarze|kommentarer|"
    r"kommentit|komentáře|hozzászólások|yorumlar|комментари[ий]|коментарі|تعليقات|评论|評論|コメント|댓글)"
    r"\s*(?:\(?\d[\d.,]*\)?)?\s*:?",
    re.IGNORECASE,
)
_MAX_HEADING_CHARS = 60
# A comments heading stands below an article, not above it.
_MIN_CHARS_ABOVE = 400
_MIN_PROMOTION_WORDS = 4
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_NO_PARAGRAPHS = frozenset(("li", "td", "th", "dt", "dd", "tr", "h1", "h2"))


def trim_article(page: Blocks, chosen: Flags) -> Flags:
    """`chosen` without promotions, and without what stands below a heading for comments."""
    kept = chosen.copy()
    num_chars = 0
    for index, block in enumerate(page.blocks):
        # A short heading may not have been chosen itself.
        if not chosen[index] and page.elements[block.element].tag not in _HEADINGS:
            continue
        if num_chars >= _MIN_CHARS_ABOVE and _heads_comments(block):
            kept[index:] = False
            break
        if not chosen[index]:
            continue
        if _is_promotion(page, block):
            kept[index] = False
        num_chars += len(block.text)
    return kept


def _heads_comments(block: Block) -> bool:
    return len(block.text) <= _MAX_HEADING_CHARS and _COMMENTS_HEADING.fullmatch(block.text.strip()) is not None


def _is_promotion(page: Blocks, block: Block) -> bool:
    """Whether a paragraph is a link in capitals from end to end."""
    return (
        block.num_links > 0
        and block.link_chars >= 0.9 * len(block.text)
        and block.text.isupper()
        and len(block.text.split()) >= _MIN_PROMOTION_WORDS
        and page.elements[block.element].tag not in _NO_PARAGRAPHS
    )
