"""Chosen blocks → plain text that keeps the shape of lists, tables, quotations and code.

A blank line stands between paragraphs; list items and table rows follow each other line by line.
Items start with `- ` or their number, indented by depth; cells are separated by ` | `; code keeps its lines and its
indentation.
"""

from collections.abc import Iterator

from pipeline.extract.blocks import PRE, Block, Blocks, Element

_TABLE_PARTS = frozenset(("tr", "td", "th"))
_ONE_LINE_PARTS = frozenset(("tr", "td", "th", "li", "dt", "dd"))


def render(page: Blocks, chosen: list[int]) -> str:
    """The text of the blocks whose numbers are in `chosen`, in order."""
    pieces: list[str] = []
    before: Element | None = None
    before_block: Block | None = None
    for index in chosen:
        block = page.blocks[index]
        holder = _holder(page, block)
        if pieces:
            together = (before is not None and _continues(before, holder)) or _in_one_pre(page, before_block, block)
            pieces.append("\n" if together else "\n\n")
        pieces.append(_marked(page, block, index))
        before, before_block = holder, block
    return "".join(pieces)


def _holder(page: Blocks, block: Block) -> Element:
    """The list item or cell that a block is in, if it is near, else its own element."""
    for element in _upwards(page, block, 3):
        if element.tag in _ONE_LINE_PARTS:
            return element
    return page.elements[block.element]


def _upwards(page: Blocks, block: Block, limit: int) -> Iterator[Element]:
    number = block.element
    while number >= 0 and limit > 0:
        element = page.elements[number]
        yield element
        number, limit = element.parent, limit - 1


def _continues(before: Element, now: Element) -> bool:
    """Whether two blocks stand line by line: items of lists, rows and cells of tables, terms and their definitions."""
    if before.tag == "li" or now.tag == "li":
        return before.tag == now.tag
    if before.tag in _TABLE_PARTS:
        return now.tag in _TABLE_PARTS
    return (now.tag == "dd" and before.tag in ("dt", "dd")) or before.tag == now.tag == "dt"


def _in_one_pre(page: Blocks, before: Block | None, now: Block) -> bool:
    """Whether two blocks are lines of the same code."""
    return before is not None and (pre := _pre_of(page, now)) >= 0 and pre == _pre_of(page, before)


def _pre_of(page: Blocks, block: Block) -> int:
    """The number of the outermost `pre` that a block is in, or -1."""
    number, found = block.element, -1
    while number >= 0 and page.elements[number].ancestors & PRE:
        found, number = number, page.elements[number].parent
    return found


def _marked(page: Blocks, block: Block, index: int) -> str:
    """The text of a block, with the mark of its list item where it is the first in it. Lines of code have no marks."""
    if page.elements[block.element].ancestors & PRE:
        return block.text
    for element in _upwards(page, block, 3):
        if element.tag == "li":
            indent = "  " * max(0, element.list_depth - 1)
            in_ordered = element.parent >= 0 and page.elements[element.parent].tag == "ol"
            mark = (f"{element.item}. " if in_ordered else "- ") if element.first_block == index else "  "
            lines = block.text.split("\n")
            return "\n".join(indent + (mark if number == 0 else "  ") + line for number, line in enumerate(lines))
    return block.text
