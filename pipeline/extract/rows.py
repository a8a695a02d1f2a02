"""Rows of tables: the column that each cell stands in, and a row as one line.

A cell that is empty, or taken by one from the left or from above, still has its place: without it, those behind it would move
into the columns of others.
"""

from collections.abc import Iterable, Mapping

_MAX_COLUMNS = 40
_MAX_ROWS = 1000


class Columns:
    """Counts the columns of the rows of one page, where cells span columns and rows. Rows of a group share its number."""

    def __init__(self) -> None:
        self._taken: dict[int, dict[int, int]] = {}  # group → column → rows that it is still taken for

    def start_row(self, group: int, *, is_first: bool) -> None:
        """To be told before the cells of each row."""
        taken = {} if is_first else self._taken.get(group, {})
        self._taken[group] = {column: rows - 1 for column, rows in taken.items() if rows > 1}

    def place(self, group: int, column: int, attributes: Mapping[str, str | None]) -> tuple[int, int]:
        """The column of a cell, which is the first free one from `column` on, and the next behind it."""
        taken = self._taken.setdefault(group, {})
        while column in taken:
            column += 1
        if not attributes or column >= _MAX_COLUMNS:
            return column, column + 1
        after = column + _span(attributes.get("colspan"), _MAX_COLUMNS - column)
        rows = _span(attributes.get("rowspan"), _MAX_ROWS)
        if rows > 1:
            taken.update(dict.fromkeys(range(column, after), rows))
        return column, after


def row_text(cells: Iterable[tuple[int, str]]) -> str:
    """A line of the texts of cells with their columns, separated by ` | `; empty ones at its end are left out."""
    texts: list[str] = []
    for column, text in cells:
        texts.extend([""] * min(column - len(texts), _MAX_COLUMNS))
        texts.append(text)
    return "".join(f" | {text}" if text else " |" for text in texts).removeprefix(" | ").lstrip()


def _span(stated: str | None, most: int) -> int:
    stated = (stated or "").strip()
    return max(1, min(int(stated[:4]), most)) if stated.isdecimal() else 1
