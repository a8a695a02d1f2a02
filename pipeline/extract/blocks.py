"""A page as a sequence of text blocks: what a reader sees as one paragraph, heading, list item or cell.

One walk over the tree, in document order, without recursion. A block is a run of inline content
inside one block-level element; two line breaks in a row end it too. Each block knows the element
that it lies in, and each element its parent and the range of blocks inside it, so sums over any
subtree are differences of running sums.
"""

import re
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.extract.numbering import integer, start_of_list
from pipeline.extract.rows import Columns, row_text


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Nothing inside these is text for a reader.
_SKIPPED = _set(
    "script style noscript template svg iframe object embed canvas audio video map select option button input "
    "textarea datalist head title nav dialog applet frameset frame picture progress meter "
    # readings beside the characters of ruby
    "rt rp rtc"
)
_INLINE = _set(
    "a abbr acronym b bdi bdo big blink cite code data del dfn em font i img ins kbd label mark math nobr output q rb ruby slot "
    "s samp small span strike strong sub sup time tt u var wbr mi mn mo ms mtext mrow msup msub mfrac semantics "
    "annotation"
)
# Block-level elements whose name tells something about their text; all others count as `div`.
TAGS = ("div", "p", "h1", "h2", "h3", "h4", "li", "td", "th", "pre", "blockquote", "figcaption", "dt", "dd", "tr")
_TAG_NUMBER = {tag: number for number, tag in enumerate(TAGS)} | {
    "h5": 5,
    "h6": 5,
    "caption": 11,
    "listing": 9,
    "xmp": 9,
    "plaintext": 9,
}
# Ancestors that tell something, as bits.
ANCESTORS = (
    "article",
    "main",
    "aside",
    "header",
    "footer",
    "form",
    "table",
    "ul",
    "ol",
    "dl",
    "blockquote",
    "figure",
    "section",
    "pre",
    "details",
    "li",
)
_ANCESTOR_BIT = {tag: 1 << bit for bit, tag in enumerate(ANCESTORS)}
PRE = _ANCESTOR_BIT["pre"]
TABLE = _ANCESTOR_BIT["table"]
_ANCESTOR_BIT |= dict.fromkeys(("listing", "xmp", "plaintext"), PRE)
HIDDEN = 1 << len(ANCESTORS)
_LISTS = frozenset(("ul", "ol", "menu", "dl"))
_CELLS = frozenset(("td", "th"))
_COUNTED = frozenset(("li", "ol", "tr", "td", "th"))
_MAX_CELLS = 40
MAX_ROW_CHARS = 600
_BREAK = "\x1e"
# What the walk does with an element; those with other names are blocks.
_BLOCK, _INLINE_KIND, _LINK, _TEXT, _BR, _RULE, _NOTHING_INSIDE, _RAISED, _BUTTON = range(9)
_KINDS: dict[str | None, int] = {
    **dict.fromkeys(_INLINE, _INLINE_KIND),
    **dict.fromkeys((*_SKIPPED, "-comment", "!doctype", "img", "wbr"), _NOTHING_INSIDE),
    "-text": _TEXT, "a": _LINK, "br": _BR, "hr": _RULE, "sup": _RAISED, "button": _BUTTON,
}  # fmt: skip
_DISPLAY_NONE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
# Inside these, which hold no blocks, elements of a page's own are words of a sentence.
_PHRASES = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "pre"))
# Links from a heading to itself.
_ANCHOR_SIGNS = frozenset(("¶", "#", "§", "🔗", "⚓", "∞"))
# What a button of these stands for is their text: the question above an answer that it unfolds.
_UNFOLDED_BY = frozenset(("h1", "h2", "h3", "h4", "h5", "h6", "dt"))
_POWER = re.compile(r"[-\u2212+]?\d{1,4}")
_RAISES_POWER = re.compile(r"(?:\d|(?:^|[^\w'\u2019])[A-Za-z])\Z")
_MAX_NAME_CHARS = 300


@dataclass(slots=True)
class Element:
    """One block-level element: its parent (an index), its place, and the range of blocks inside it.

    `ancestors` has the bits of `ANCESTORS` and `HIDDEN` that hold for it, `names` its classes, id, role and itemprop;
    `item` counts: in a list, the items so far, in an item its own number; in a row, its columns so far, in a cell its own.
    `counts` says how the items of an ordered list are numbered.
    """

    parent: int
    tag: str
    ancestors: int
    names: str
    depth: int
    list_depth: int
    first_block: int
    end_block: int = 0
    item: int = 0
    counts: str = ""


_NOTHING = Element(-1, "", 0, "", -1, 0, 0)


@dataclass(slots=True)
class Block:
    """One block: its text (lines separated by `\\n`), the characters of it inside links, and its element."""

    text: str
    link_chars: int
    num_links: int
    element: int
    starts_element: bool


@dataclass(slots=True)
class Blocks:
    """The blocks of a page and the elements that have any, both in document order. `elements[0]` is the body."""

    blocks: list[Block] = field(default_factory=list)
    elements: list[Element] = field(default_factory=list)


def read_blocks(tree: LexborHTMLParser) -> Blocks:
    """The blocks of a parsed page."""
    page = Blocks()
    body = tree.body
    if body is None:
        return page
    _Walk(page).walk(body)
    return page


class _Walk:
    """The state of one walk: the open elements and the block under construction."""

    def __init__(self, page: Blocks) -> None:
        self._page = page
        self._pieces: list[str] = []
        self._link_chars = 0
        self._num_links = 0
        self._links = 0
        self._element = -1
        self._in_pre = 0
        self._starts = True
        self._columns = Columns()

    def walk(self, body: LexborNode) -> None:
        """Visits everything below `body`."""
        pieces, kind_of = self._pieces, _KINDS.get
        self._open(body, "body")
        # One iterator over children for each open element, and the kind of the element.
        stack = [(body.iter(include_text=True), _BLOCK)]
        while stack:
            children, open_kind = stack[-1]
            for node in children:
                tag = node.tag
                kind = kind_of(tag, _BLOCK)
                if kind == _TEXT:
                    if (text := node.text_content) and not (self._links and _is_anchor(node, text)):
                        if text.isspace():
                            if pieces or self._in_pre:
                                pieces.append(text)
                            continue
                        pieces.append(text)
                        if self._links:
                            self._link_chars += len(text.strip())
                    continue
                if kind == _NOTHING_INSIDE or tag is None:
                    continue
                if kind == _BR:
                    self._line_break()
                    continue
                if kind == _RULE:
                    self._flush()
                    continue
                if kind == _BUTTON and not self._is_question(node):
                    continue
                if kind == _LINK:
                    self._links += 1
                    self._num_links += 1
                elif kind == _RAISED:
                    self._raise(node)
                elif kind == _BLOCK and self._is_word(tag):
                    kind = _INLINE_KIND
                elif kind == _BLOCK:
                    self._flush()
                    self._open(node, tag)
                stack.append((node.iter(include_text=True), kind))
                break
            else:
                stack.pop()
                if open_kind == _BLOCK:
                    self._close()
                elif open_kind == _LINK:
                    self._links -= 1

    def _is_word(self, tag: str) -> bool:
        """Whether an element of another vocabulary stands inside a sentence: `o:p` of office programs, custom elements in a paragraph."""
        return ":" in tag or ("-" in tag and self._page.elements[self._element].tag in _PHRASES)

    def _is_question(self, button: LexborNode) -> bool:
        """Whether a button is the text of a heading, and unfolds what is below it."""
        attributes = button.attributes
        return self._page.elements[self._element].tag in _UNFOLDED_BY and (
            "aria-expanded" in attributes or "aria-controls" in attributes
        )

    def _raise(self, raised: LexborNode) -> None:
        """Sets a sign between a number and its power, which would else be one number. References to notes are left."""
        if not self._pieces or self._links or not _RAISES_POWER.search("".join(self._pieces[-2:])[-2:]):
            return
        if _POWER.fullmatch(raised.text().strip()) and raised.css_first("a") is None:
            self._pieces.append("^")

    def _close(self) -> None:
        self._flush()
        page = self._page
        element = page.elements[self._element]
        if element.tag == "tr":
            self._join_row(element)
        element.end_block = len(page.blocks)
        if element.end_block == element.first_block and element.parent >= 0:
            page.elements.pop()  # it is the last: those inside it were as empty
        self._element = element.parent
        self._in_pre = self._element >= 0 and page.elements[self._element].ancestors & PRE
        self._starts = False

    def _open(self, node: LexborNode, tag: str) -> None:
        page = self._page
        elements = page.elements
        parent = elements[self._element] if elements else _NOTHING
        ancestors = parent.ancestors | _ANCESTOR_BIT.get(tag, 0)
        names = ""
        if attributes := node.attributes:
            names = _names(attributes)
            if _is_hidden(attributes) or ((style := attributes.get("style")) and _DISPLAY_NONE.search(style[:200])):
                ancestors |= HIDDEN
        self._in_pre = ancestors & PRE
        list_depth = parent.list_depth + 1 if tag in _LISTS else parent.list_depth
        element = Element(self._element, tag, ancestors, names, parent.depth + 1, list_depth, len(page.blocks))
        if tag in _COUNTED:
            self._count(element, parent, node, attributes)
        elements.append(element)
        self._element = len(elements) - 1
        self._starts = True

    def _count(self, element: Element, parent: Element, node: LexborNode, attributes: dict[str, str | None]) -> None:
        """The number of a list item or the column of a cell, and where lists and rows start to count."""
        if element.tag == "li":
            stated = integer(attributes.get("value")) if attributes else None
            element.item = parent.item + (-1 if parent.counts.startswith("-") else 1) if stated is None else stated
            parent.item = element.item
        elif element.tag == "ol":
            element.item, element.counts = start_of_list(node, attributes)
        elif element.tag == "tr":
            parent.item += 1
            self._columns.start_row(element.parent, is_first=parent.item == 1)
        elif parent.tag == "tr":
            element.item, parent.item = self._columns.place(parent.parent, parent.item, attributes)

    def _join_row(self, row: Element) -> None:
        """Makes one block of the cells of a table row, unless they hold paragraphs: then the table only does layout."""
        page = self._page
        cells = page.blocks[row.first_block :]
        if not 2 <= len(cells) <= _MAX_CELLS or sum(len(cell.text) for cell in cells) > MAX_ROW_CHARS:
            return
        if any(
            page.elements[cell.element].tag not in _CELLS or not cell.starts_element or "\n" in cell.text
            for cell in cells
        ):
            return
        del page.blocks[row.first_block :]
        text = row_text((page.elements[cell.element].item, cell.text) for cell in cells)
        page.blocks.append(
            Block(
                text, sum(cell.link_chars for cell in cells), sum(cell.num_links for cell in cells), self._element, True
            )
        )
        for cell in page.elements[self._element + 1 :]:
            cell.first_block, cell.end_block = row.first_block, row.first_block + 1

    def _line_break(self) -> None:
        pieces = self._pieces
        index = len(pieces) - 1
        while index >= 0 and pieces[index].isspace() and pieces[index] != _BREAK:
            index -= 1
        if index >= 0 and pieces[index] == _BREAK and not self._in_pre:
            self._flush()
        else:
            pieces.append(_BREAK)

    def _flush(self) -> None:
        """Ends the block under construction, if it has any text."""
        pieces = self._pieces
        if not pieces:
            return
        joined = "".join(pieces)
        pieces.clear()
        element = self._element
        if self._in_pre:
            text = joined.replace(_BREAK, "\n").strip("\n").rstrip()
        elif _BREAK in joined:
            lines = (" ".join(line.split()) for line in joined.split(_BREAK))
            text = "\n".join(line for line in lines if line)
        else:
            text = " ".join(joined.split())
        if text:
            self._page.blocks.append(
                Block(text, min(self._link_chars, len(text)), self._num_links, element, self._starts)
            )
            self._starts = False
        self._link_chars = 0
        self._num_links = 0


def _is_anchor(node: LexborNode, text: str) -> bool:
    """Whether a text is the sign that links a heading to itself."""
    if text.strip() not in _ANCHOR_SIGNS:
        return False
    link = node.parent
    while link is not None and link.tag in ("span", "i"):
        link = link.parent
    return link is not None and link.tag == "a" and (link.attributes.get("href") or "").startswith("#")


def _is_hidden(attributes: dict[str, str | None]) -> bool:
    """Whether readers never see an element; what a search inside the page unfolds they do."""
    return "hidden" in attributes and attributes["hidden"] != "until-found"


def _names(attributes: dict[str, str | None]) -> str:
    """The class, id, role and itemprop of an element in one string."""
    get = attributes.get
    names = get("class") or ""
    for other in (get("id"), get("role"), get("itemprop")):
        if other:
            names = f"{names} {other}"
    return names[:_MAX_NAME_CHARS]


def tag_number(tag: str) -> int:
    """The index in `TAGS` that a tag counts as."""
    return _TAG_NUMBER.get(tag, 0)
