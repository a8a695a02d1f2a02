"""What is measured of each block of a page: a matrix with a row a block and a column a feature.

Sums over a subtree are differences of running sums over the blocks, so the cost grows with the number
of blocks and not with depth. Everything depends on the page alone. `FEATURES` names the columns;
a model is only used with the columns that it was trained on.

Shapes: N blocks, E elements.
"""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from pipeline.extract.blocks import ANCESTORS, TAGS, Block, Blocks, tag_number
from pipeline.extract.hints import GROUPS, Hints

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# Text this long, with a full stop and few links, is taken for prose.
_PROSE_CHARS = 60
_PROSE_LINK_SHARE = 0.35
# A core is the deepest element that holds this share of the prose of the page.
_CORE_SHARES = (0.5, 0.8)
_LEVELS = ("element", "parent", "grandparent", "great")
_SHIFTS = (-2, -1, 1, 2)
_WINDOW = 4
_H1, _H4, _P, _LI = (TAGS.index("h1"), TAGS.index("h4"), TAGS.index("p"), TAGS.index("li"))
_SENTENCE_ENDS = frozenset(".!?。！？…।:\"”'’)»")
_DIGIT = re.compile(r"\d")
_MAX_TITLE_CHARS = 300

_OWN = (
    "log_chars",
    "link_share",
    "log_links",
    "log_words",
    "log_commas",
    "log_stops",
    "ends_sentence",
    "digit_share",
    "log_lines",
    "starts_element",
)
_PLACE = (
    "hint",
    "hint_here",
    "depth",
    "list_depth",
    "chars_before",
    "log_chars_after",
    "after_heading",
    "log_since_heading",
    "like_title",
    "repeats",
)
_WHOLE = (
    "page_log_chars",
    "page_log_blocks",
    "page_link_share",
    "page_log_prose",
    "page_prose_share",
    "page_log_articles",
)
_CONTAINER = ("log_chars", "link_share", "prose_share", "log_blocks", "log_mean_chars", "hint")
_CORE = ("inside", "before", "after", "log_gap", "log_chars", "prose_density")
_ALIKE = ("alike_log_count", "alike_log_mean_chars", "alike_link_share")
_NEAR = (
    "log_chars",
    "link_share",
    "ends_sentence",
    "hint",
    "is_heading",
    "is_p",
    "is_li",
    "depth_change",
    "same_parent",
)
_WINDOWS = ("near_prose_share", "near_link_share")
FEATURES: tuple[str, ...] = (
    *_OWN,
    *(f"tag_{tag}" for tag in TAGS),
    *(f"in_{tag}" for tag in (*ANCESTORS, "hidden")),
    *(f"group_{name}" for name, _ in GROUPS),
    *(f"group_here_{name}" for name, _ in GROUPS),
    *_PLACE,
    *_WHOLE,
    *(f"{level}_{name}" for level in _LEVELS for name in _CONTAINER),
    *(f"core_{share}_{name}" for share in _CORE_SHARES for name in _CORE),
    "core_level",
    *_ALIKE,
    *(f"{name}@{shift:+d}" for shift in _SHIFTS for name in _NEAR),
    *_WINDOWS,
)


@dataclass(slots=True, kw_only=True)
class _Page:
    """A page as arrays. `sums` are running sums of characters, of those in links, of those in prose: (3, N + 1)."""

    own: Floats  # (N, 10), as `_OWN` but in plain counts
    element_of: Indices  # (N,)
    tags: Indices  # (N,)
    parent: Indices  # (E,), that of the body is the body
    first: Indices  # (E,)
    end: Indices  # (E,)
    # (E, 11): tag, ancestors, groups with ancestors, groups here, hint with ancestors, hint here, depth, list depth, …
    table: Floats
    sums: Floats
    inside: Floats  # (3, E), the sums over subtrees
    num_articles: int

    @property
    def totals(self) -> Floats:
        """Characters, those in links, those in prose; never 0."""
        return np.maximum(self.sums[:, -1], 1.0)


def features(blocks: Blocks, title: str, hints: Hints) -> npt.NDArray[np.float32]:
    """The matrix (N, number of `FEATURES`) of a page with at least one block."""
    page = _arrays(blocks, hints)
    here = page.table[page.element_of]
    columns = [
        _own_features(page),
        np.eye(len(TAGS))[page.tags],
        _bits(here[:, 1], len(ANCESTORS) + 1),
        _bits(here[:, 2], len(GROUPS)),
        _bits(here[:, 3], len(GROUPS)),
        _place_features(page, blocks.blocks, title),
        _whole_features(page),
        _container_features(page),
        _core_features(page),
        _alike_features(page),
        *_near_features(page),
        _window_features(page),
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _arrays(blocks: Blocks, hints: Hints) -> _Page:
    own = _table([_counts(block) for block in blocks.blocks])
    element_of = np.array([block.element for block in blocks.blocks], dtype=np.intp)
    table = _table(_element_rows(blocks, hints))
    parent, first, end = table[:, 8:11].astype(np.intp).T
    chars, links, stops = own[:, 0], own[:, 1], own[:, 5]
    prose = np.where((chars >= _PROSE_CHARS) & (links < _PROSE_LINK_SHARE * chars) & (stops > 0), chars, 0.0)
    sums = np.zeros((3, len(own) + 1))
    np.cumsum((chars, links, prose), axis=1, out=sums[:, 1:])
    return _Page(
        own=own, element_of=element_of, tags=table[element_of, 0].astype(np.intp), parent=parent, first=first, end=end,
        table=table, sums=sums, inside=sums[:, end] - sums[:, first],
        num_articles=sum(element.tag == "article" for element in blocks.elements),
    )  # fmt: skip


def _table(rows: list[tuple[float, ...]]) -> Floats:
    """As `np.array`, in half the time."""
    width = len(rows[0])
    return np.fromiter(chain.from_iterable(rows), dtype=np.float64, count=len(rows) * width).reshape(-1, width)


def _counts(block: Block) -> tuple[float, ...]:
    """The plain counts behind the first columns."""
    text = block.text
    count = text.count
    stops = count(".") + count("!") + count("?")
    commas = count(",") + count(";")
    if not text.isascii():
        stops += count("。") + count("…") + count("！") + count("？") + count("।")
        commas += count("，") + count("、") + count("،")
    length = len(text)
    digits = len(_DIGIT.findall(text)) if length < _PROSE_CHARS and not text.isalpha() else 0
    return (
        length, block.link_chars, block.num_links, count(" ") + 1, commas, stops,
        text[-1] in _SENTENCE_ENDS, digits, count("\n"), block.starts_element,
    )  # fmt: skip


def _element_rows(blocks: Blocks, hints: Hints) -> list[tuple[float, ...]]:
    rows: list[tuple[float, ...]] = []
    hint_of = hints.of
    above: list[tuple[float, int]] = [(0.0, 0)]  # hint and groups with ancestors; what is above the body comes first
    for e in blocks.elements:
        hint, groups = hint_of(e.names) if e.names else (0.0, 0)
        parent = e.parent
        hint_above, groups_above = above[parent + 1]
        total = (hint_above + hint, groups_above | groups)
        above.append(total)
        rows.append(
            (
                tag_number(e.tag), e.ancestors, total[1], groups, total[0], hint, e.depth, e.list_depth,
                parent if parent > 0 else 0, e.first_block, e.end_block,
            )
        )  # fmt: skip
    return rows


def _own_features(page: _Page) -> Floats:
    own = page.own
    result = np.log1p(own)
    result[:, 1] = own[:, 1] / own[:, 0]
    result[:, 6] = own[:, 6]
    result[:, 7] = own[:, 7] / own[:, 0]
    result[:, 9] = own[:, 9]
    return result


def _bits(values: Floats, num_bits: int) -> Floats:
    return ((values.astype(np.int64)[:, None] >> np.arange(num_bits)) & 1).astype(np.float64)


def _place_features(page: _Page, blocks: list[Block], title: str) -> Floats:
    chars_before, chars_after = page.sums[0, :-1], page.sums[0, -1] - page.sums[0, 1:]
    title = title.casefold()[:_MAX_TITLE_CHARS]
    heading = _page_heading(page.tags, blocks, title)
    since = chars_before - (page.sums[0, heading] if heading >= 0 else 0.0)
    after = np.arange(len(blocks)) > heading if heading >= 0 else np.full(len(blocks), 0.5)
    copies = Counter(block.text for block in blocks)
    here = page.table[page.element_of]
    return np.stack(
        [
            here[:, 4], here[:, 5], here[:, 6] / 10, here[:, 7],
            chars_before / page.totals[0], np.log1p(chars_after), after, np.sign(since) * np.log1p(np.abs(since)),
            [_likeness(block.text, title) for block in blocks], [copies[block.text] > 1 for block in blocks],
        ],
        axis=1,
    )  # fmt: skip


def _page_heading(tags: Indices, blocks: list[Block], title: str) -> int:
    """The first `h1` that is like the title, else the first at all, else -1."""
    headings = np.flatnonzero(tags == _H1)
    for heading in headings:
        if _likeness(blocks[heading].text, title) > 0:
            return int(heading)
    return int(headings[0]) if len(headings) else -1


def _likeness(text: str, title: str) -> float:
    """1 for the title itself, 0.7 where one contains the other."""
    if not 4 <= len(text) <= _MAX_TITLE_CHARS or not title:
        return 0.0
    text = text.casefold()
    return 1.0 if text == title else 0.7 if text in title or title in text else 0.0


def _whole_features(page: _Page) -> Floats:
    chars, links, prose = page.totals
    num_blocks = len(page.own)
    row = np.array(
        [
            np.log1p(chars),
            np.log1p(num_blocks),
            links / chars,
            np.log1p(prose),
            prose / chars,
            np.log1p(page.num_articles),
        ]
    )
    return np.broadcast_to(row, (num_blocks, len(row)))


def _container_features(page: _Page) -> Floats:
    chars, links, prose = page.inside
    num_inside = page.end - page.first
    of_element = np.stack(
        [
            np.log1p(chars), links / np.maximum(chars, 1), prose / page.totals[2], np.log1p(num_inside),
            np.log1p(chars / np.maximum(num_inside, 1)), page.table[:, 4],
        ],
        axis=1,
    )  # fmt: skip
    columns = []
    level = page.element_of
    for _ in _LEVELS:
        columns.append(of_element[level])
        level = page.parent[level]
    return np.concatenate(columns, axis=1)


def _core_features(page: _Page) -> Floats:
    prose = page.inside[2]
    # Elements with at least half of the prose lie inside each other, and in document order the deepest is the last.
    nested = np.flatnonzero(prose >= 0.5 * page.totals[2]) if page.sums[2, -1] > 0 else np.zeros(1, dtype=np.intp)
    level = np.zeros(len(page.own))
    for number, element in enumerate(nested):
        level[page.first[element] : page.end[element]] = number
    columns = [_core(page, int(nested[prose[nested] >= share * page.sums[2, -1]][-1])) for share in _CORE_SHARES]
    return np.concatenate([*columns, level[:, None] / max(1, len(nested) - 1)], axis=1)


def _core(page: _Page, core: int) -> Floats:
    """Where each block lies relative to the element `core`."""
    first, end = page.first[core], page.end[core]
    chars = page.sums[0]
    position = np.arange(len(page.own))
    span = max(1.0, chars[end] - chars[first])
    gap = np.maximum(np.maximum(chars[first] - chars[1:], chars[:-1] - chars[end]), 0.0)
    result = np.empty((len(position), len(_CORE)))
    result[:, 0] = (position >= first) & (position < end)
    result[:, 1] = np.clip((chars[:-1] - chars[first]) / span, -1, 2)
    result[:, 2] = np.clip((chars[end] - chars[1:]) / span, -1, 2)
    result[:, 3] = np.log1p(gap)
    result[:, 4] = np.log1p(span)
    result[:, 5] = page.inside[2, core] / max(1.0, page.inside[0, core])
    return result


def _alike_features(page: _Page) -> Floats:
    """Of the blocks whose element and parent look the same: their number, mean length and link share."""
    table = page.table.copy()
    table[:, 5] = np.round(table[:, 5] * 8)
    here, above = table[page.element_of], table[page.parent[page.element_of]]
    key = here[:, 0] + 32 * (here[:, 6] + 128 * (here[:, 5] + 128 * (above[:, 0] + 32 * above[:, 5])))
    _, alike, num_alike = np.unique(key, return_inverse=True, return_counts=True)
    chars = np.bincount(alike, weights=page.own[:, 0])
    links = np.bincount(alike, weights=page.own[:, 1])
    return np.stack([np.log1p(num_alike), np.log1p(chars / num_alike), links / chars], axis=1)[alike]


def _near_features(page: _Page) -> list[Floats]:
    tags = page.tags
    here = page.table[page.element_of]
    near = np.stack(
        [
            np.log1p(page.own[:, 0]), page.own[:, 1] / page.own[:, 0], page.own[:, 6], here[:, 4],
            (tags >= _H1) & (tags <= _H4), tags == _P, tags == _LI, here[:, 6], page.parent[page.element_of],
        ],
        axis=1,
    )  # fmt: skip
    columns = []
    for shift in _SHIFTS:
        shifted = _shifted(near, shift)
        shifted[:, 7] = np.clip(shifted[:, 7] - near[:, 7], -6, 6) / 3
        shifted[:, 8] = shifted[:, 8] == near[:, 8]
        columns.append(shifted)
    return columns


def _shifted(values: Floats, shift: int) -> Floats:
    """Row i + `shift` in row i, zeros where there is none."""
    result = np.zeros_like(values)
    if abs(shift) < len(values):
        if shift > 0:
            result[:-shift] = values[shift:]
        else:
            result[-shift:] = values[:shift]
    return result


def _window_features(page: _Page) -> Floats:
    position = np.arange(len(page.own))
    low, high = (np.maximum(position - _WINDOW, 0), np.minimum(position + _WINDOW + 1, len(position)))
    chars, links, prose = page.sums[:, high] - page.sums[:, low]
    return np.stack([prose / chars, links / chars], axis=1)
