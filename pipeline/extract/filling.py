"""What is added to the chosen blocks by rule: headings above them, and the few items of a list that were left out.

The classifier judges each block alone, and a heading of two words or a short item has little to be judged by. What stands around it says
more: a section that is kept has its heading, and a list of which most is kept is kept.
"""

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from pipeline.extract.blocks import Block, Blocks, Element

Flags = npt.NDArray[np.bool_]

_HEADINGS = frozenset(("h2", "h3", "h4", "h5", "h6"))
_LISTS = frozenset(("ul", "ol"))
# How far above its heading the element of a section may be.
_LEVELS = 2
_MIN_ITEMS = 3
_MIN_ITEM_SHARE = 0.6
_MAX_LINK_SHARE = 0.5


def fill_page(page: Blocks, chosen: Flags) -> Flags:
    """`chosen` with the rest of its lists and the headings of its sections."""
    chosen = _with_items(page, chosen)
    return _with_headings(page, chosen, np.flatnonzero(chosen[1:] & ~chosen[:-1]))


def fill_article(page: Blocks, chosen: Flags) -> Flags:
    """`chosen` with the headings between its blocks; what comes first in an article is no section of it."""
    between = chosen[2:] & ~chosen[1:-1] & chosen[:-2]
    return _with_headings(page, chosen, np.flatnonzero(between) + 1)


def _with_headings(page: Blocks, chosen: Flags, candidates: npt.NDArray[np.intp]) -> Flags:
    filled = chosen.copy()
    for index in candidates.tolist():
        if _tag(page, index) in _HEADINGS and _tag(page, index + 1) not in _HEADINGS:
            filled[index] = _heads(page, index)
    return filled


def _heads(page: Blocks, index: int) -> bool:
    """Whether the block behind a heading is in the same section."""
    number = page.elements[page.blocks[index].element].parent
    for _ in range(_LEVELS):
        if number < 0:
            return False
        if page.elements[number].end_block > index + 1:
            return True
        number = page.elements[number].parent
    return False


def _with_items(page: Blocks, chosen: Flags) -> Flags:
    filled = chosen.copy()
    lists: defaultdict[int, list[Element]] = defaultdict(list)
    for element in page.elements:
        if element.tag == "li":
            lists[element.parent].append(element)
    for number, items in lists.items():
        if len(items) < _MIN_ITEMS or page.elements[number].tag not in _LISTS:
            continue
        left = [item for item in items if not chosen[item.first_block : item.end_block].any()]
        if left and len(items) - len(left) >= _MIN_ITEM_SHARE * len(items):
            for item in left:
                for index in range(item.first_block, item.end_block):
                    filled[index] = _is_text(page.blocks[index])
    return filled


def _is_text(block: Block) -> bool:
    return block.link_chars < _MAX_LINK_SHARE * len(block.text)


def _tag(page: Blocks, index: int) -> str:
    return page.elements[page.blocks[index].element].tag
