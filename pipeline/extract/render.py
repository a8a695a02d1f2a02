"""Chosen blocks → plain text that keeps the shape of lists, tables, quotations and code.

A blank line stands between paragraphs; list items and table rows follow each other line by line.
Items start with `- ` or their number, indented by depth; cells are separated by ` | `, also those with paragraphs or lines of
their own, if they are short; code keeps its lines and its indentation.
"""

from collections.abc import Iterator
from itertools import groupby

from pipeline.extract.blocks import MAX_ROW_CHARS, PRE, TABLE, Block, Blocks, Element
from pipeline.extract.numbering import mark
from pipeline.extract.rows import row_text

_TABLE_PARTS = frozenset(("tr", "td", "th"))
_ONE_LINE_PARTS = frozenset(("tr", "td", "th", "li", "dt", "dd"))
# How many wrappers a block may have in its item or cell. Farther out an item is one only if it holds few blocks: there are pages
# whose whole text lies in an item of a list.
_NEAR, _FAR = 3, 8
_MAX_FAR_BLOCKS = 3
# What a cell may hold to be part of a line.
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_PLAIN = frozenset(("p", "div", "center", "section", "td", "th"))
_MAX_CELL_CHARS = 300
# With several blocks or lines; longer ones are the paragraphs of a text, such as the posts of an old forum.
_MAX_BROKEN_CELL_CHARS = 120
_MAX_ROW_BLOCKS = 100


def render(page: Blocks, chosen: list[int]) -> str:
    """The text of the blocks whose numbers are in `chosen`, in order."""
    pieces: list[str] = []
    before: Element | None = None
    before_block: Block | None = None
    marked: set[int] = set()
    for row, group in groupby(chosen, lambda index: _row_of(page, page.blocks[index])):
        indices = list(group)
        line = _line(page, indices) if len(indices) > 1 and _is_plain(page, row) else ""
        for index in indices[:1] if line else indices:
            block = page.blocks[index]
            holder = page.elements[row] if line else _holder(page, block)
            if pieces:
                together = (before is not None and _continues(before, holder)) or _in_one_pre(page, before_block, block)
                pieces.append("\n" if together else "\n\n")
            pieces.append(line or _marked(page, block, holder, first=id(holder) not in marked))
            marked.add(id(holder))
            before, before_block = holder, block
    return "".join(pieces)


def _row_of(page: Blocks, block: Block) -> int:
    """The number of the table row that a block is in, with at most a few wrappers, or -1."""
    number = block.element
    if page.elements[number].ancestors & (TABLE | PRE) != TABLE:
        return -1
    for _ in range(_NEAR + 1):
        element = page.elements[number]
        if element.tag == "tr":
            return number
        if element.tag not in _PLAIN:
            break
        number = element.parent
    return -1


def _is_plain(page: Blocks, row: int) -> bool:
    """Whether nothing is in a row but short cells of text: no headings, lists or tables, as where it does layout."""
    if row < 0:
        return False
    blocks = page.blocks[page.elements[row].first_block : page.elements[row].end_block]
    return len(blocks) <= _MAX_ROW_BLOCKS and all(_row_of(page, block) == row for block in blocks)


def _line(page: Blocks, indices: list[int]) -> str:
    """The blocks of one row as a line, or empty if they are too long for one, or all in one cell."""
    cells: list[tuple[int, str]] = []
    for cell, group in groupby(indices, lambda index: _cell_of(page, page.blocks[index])):
        lines = "\n".join(page.blocks[index].text for index in group).split("\n")
        text = " ".join(lines)
        if len(text) > (_MAX_CELL_CHARS if len(lines) == 1 else _MAX_BROKEN_CELL_CHARS):
            return ""
        cells.append((page.elements[cell].item, text))
    if len(cells) < 2 or sum(len(text) for _, text in cells) > MAX_ROW_CHARS:
        return ""
    return row_text(cells)


def _cell_of(page: Blocks, block: Block) -> int:
    number = block.element
    while page.elements[number].tag not in ("td", "th", "tr"):
        number = page.elements[number].parent
    return number


def _holder(page: Blocks, block: Block) -> Element:
    """The list item or cell that a block is in, if it is near, else its own element."""
    for distance, element in enumerate(_upwards(page, block, _FAR)):
        if element.tag == "li" and _is_item(page, element, distance):
            return element
        if element.tag in _ONE_LINE_PARTS and distance < _NEAR and element.tag != "li":
            return element
    return page.elements[block.element]


def _is_item(page: Blocks, item: Element, distance: int) -> bool:
    """Whether an item is one for readers: those that begin with a heading or hold much far inside are parts of the page."""
    if distance >= _NEAR and item.end_block - item.first_block > _MAX_FAR_BLOCKS:
        return False
    return page.elements[page.blocks[item.first_block].element].tag not in _HEADINGS


def _upwards(page: Blocks, block: Block, limit: int) -> Iterator[Element]:
    number = block.element
    while number >= 0 and limit > 0:
        element = page.elements[number]
        yield element
        number, limit = element.parent, limit - 1


def _continues(before: Element, now: Element) -> bool:
    """Whether two blocks stand line by line: items of lists, rows and cells of tables, terms and their definitions."""
    if now.tag == "li":
        if before.tag == "li":  # another list begins where the depth stays and the parent does not
            return before.parent == now.parent or before.list_depth != now.list_depth
        return before.tag in ("dt", "dd") and before.list_depth < now.list_depth
    if before.tag in _TABLE_PARTS:
        return now.tag in _TABLE_PARTS and not (_holds_paragraphs(before) or _holds_paragraphs(now))
    return (now.tag == "dd" and before.tag in ("dt", "dd")) or before.tag == now.tag == "dt"


def _holds_paragraphs(part: Element) -> bool:
    return part.tag != "tr" and part.end_block - part.first_block > 1


def _in_one_pre(page: Blocks, before: Block | None, now: Block) -> bool:
    """Whether two blocks are lines of the same code."""
    return before is not None and (pre := _pre_of(page, now)) >= 0 and pre == _pre_of(page, before)


def _pre_of(page: Blocks, block: Block) -> int:
    """The number of the outermost `pre` that a block is in, or -1."""
    number, found = block.element, -1
    while number >= 0 and page.elements[number].ancestors & PRE:
        found, number = number, page.elements[number].parent
    return found


def _marked(page: Blocks, block: Block, holder: Element, *, first: bool) -> str:
    """The text of a block, with the mark of its list item where it is the first in it. Lines of code have no marks."""
    if holder.tag != "li" or page.elements[block.element].ancestors & PRE:
        return block.text
    indent = "  " * max(0, holder.list_depth - 1)
    counts = page.elements[holder.parent].counts if holder.parent >= 0 else ""
    marks = mark(holder.item, counts) if first else "  "
    lines = block.text.split("\n")
    return "\n".join(indent + (marks if number == 0 else "  ") + line for number, line in enumerate(lines))
