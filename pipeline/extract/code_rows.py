"""Code that a page lays out line by line, in rows of a table or in elements of their own → one `pre`, as it is meant.

Browsers keep the indentation there by a style sheet, which nobody reads here; as rows of a table it would be lost, and blank lines with it.
"""

from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

# GitHub and its gists, line numbers of highlight.js.
_CELLS = "td.blob-code, td.hljs-ln-code"
# SyntaxHighlighter and Doxygen: the lines are children of these.
_HOLDERS = ".syntaxhighlighter td.code > div.container, div.fragment"
_MAX_LEVELS = 6


def join_code_rows(tree: LexborHTMLParser) -> int:
    """Makes a `pre` of each of them; returns how many there were."""
    if tree.css_first(f"{_CELLS}, {_HOLDERS}") is None:
        return 0
    joined = 0
    for holder, lines in (*_tables(tree), *_holders(tree)):
        code = tree.create_node("pre")
        code.insert_child("\n".join(line.text().strip("\n").rstrip() for line in lines))
        holder.replace_with(code)
        joined += 1
    return joined


def _tables(tree: LexborHTMLParser) -> list[tuple[LexborNode, list[LexborNode]]]:
    """Tables with one cell of code in each of their rows of code, and no other such table around them."""
    tables: dict[int, tuple[LexborNode, list[LexborNode]]] = {}
    rows: set[int] = set()
    beside: set[int] = set()
    for cell in tree.css(_CELLS):
        table = next((node for node in _upwards(cell) if node.tag == "table"), None)
        if table is None or cell.parent is None:
            continue
        tables.setdefault(table.mem_id, (table, []))[1].append(cell)
        if cell.parent.mem_id in rows:  # two versions side by side
            beside.add(table.mem_id)
        rows.add(cell.parent.mem_id)
    return [
        (table, cells)
        for number, (table, cells) in tables.items()
        if number not in beside and not any(node.mem_id in tables for node in _upwards(table, 10_000))
    ]


def _holders(tree: LexborHTMLParser) -> Iterator[tuple[LexborNode, list[LexborNode]]]:
    for holder in tree.css(_HOLDERS):
        children = list(holder.iter(include_text=False))
        if children and all("line" in (child.attributes.get("class") or "").split() for child in children):
            yield holder, children


def _upwards(node: LexborNode, limit: int = _MAX_LEVELS) -> Iterator[LexborNode]:
    above = node.parent
    while above is not None and limit > 0:
        yield above
        above, limit = above.parent, limit - 1
