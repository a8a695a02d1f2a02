"""The layout of documents in rows: hand-worked examples, a slow oracle, and what must hold for any lengths."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pack.packing import Layout, Method, best_fit_decreasing, pack

METHODS: list[Method] = ["best_fit", "concat", "one_per_row"]


def pieces(layout: Layout) -> list[tuple[int, int, int, int, int]]:
    columns = (layout.row, layout.start, layout.end, layout.document, layout.offset)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize(
    ("method", "num_labels", "expected"),
    [
        ("best_fit", [], []),
        ("best_fit", [6], [(0, 0, 6, 0, 0)]),  # exactly a row
        ("best_fit", [3, 3], [(0, 0, 3, 0, 0), (0, 3, 6, 1, 0)]),  # neighbours share one end-of-text
        ("best_fit", [2, 5, 4, 1], [(0, 0, 5, 1, 0), (0, 5, 6, 3, 0), (1, 0, 2, 0, 0), (1, 2, 6, 2, 0)]),
        ("best_fit", [8], [(0, 0, 6, 0, 0), (1, 0, 2, 0, 6)]),  # cut at T; the rest is first in its row
        ("best_fit", [8, 3], [(0, 0, 6, 0, 0), (1, 0, 2, 0, 6), (1, 2, 5, 1, 0)]),  # ... and others follow it
        # two rests in one row: the second leaves one position empty, for its first input
        ("best_fit", [8, 8], [(0, 0, 6, 0, 0), (1, 0, 6, 1, 0), (2, 0, 2, 0, 6), (2, 3, 5, 1, 6)]),
        ("concat", [4, 4, 5], [(0, 0, 4, 0, 0), (0, 4, 6, 1, 0), (1, 0, 2, 1, 2), (1, 2, 6, 2, 0), (2, 0, 1, 2, 4)]),
        ("concat", [13], [(0, 0, 6, 0, 0), (1, 0, 6, 0, 6), (2, 0, 1, 0, 12)]),
        ("one_per_row", [2, 7], [(0, 0, 2, 0, 0), (1, 0, 6, 1, 0), (2, 0, 1, 1, 6)]),
    ],
)
def test_rows_of_six(method: Method, num_labels: list[int], expected: list[tuple[int, ...]]) -> None:
    assert pieces(pack(num_labels, 6, method)) == expected


@pytest.mark.parametrize("method", METHODS)
@given(num_labels=st.lists(st.integers(1, 40), max_size=60), capacity=st.integers(2, 16))
def test_every_label_has_exactly_one_position(method: Method, num_labels: list[int], capacity: int) -> None:
    seen: set[tuple[int, int]] = set()
    taken: set[tuple[int, int]] = set()
    for row, start, end, document, offset in pieces(pack(num_labels, capacity, method)):
        assert 0 <= start < end <= capacity
        labels = {(document, offset + i) for i in range(end - start)}
        positions = {(row, position) for position in range(start, end)}
        assert not labels & seen
        assert not positions & taken
        seen |= labels
        taken |= positions
    assert seen == {(document, label) for document, count in enumerate(num_labels) for label in range(count)}


@given(num_labels=st.lists(st.integers(1, 40), max_size=60), capacity=st.integers(2, 16))
def test_best_fit_cuts_no_document_that_fits(num_labels: list[int], capacity: int) -> None:
    layout = pack(num_labels, capacity)
    for document, offset in zip(layout.document.tolist(), layout.offset.tolist(), strict=True):
        assert offset % capacity == 0
        assert not offset or num_labels[document] > capacity


@pytest.mark.parametrize("method", METHODS)
@given(num_labels=st.lists(st.integers(1, 40), max_size=60), capacity=st.integers(2, 16))
def test_a_continued_piece_never_shares_a_slot(method: Method, num_labels: list[int], capacity: int) -> None:
    """The slot where it starts must hold its own first input, not the end-of-text of its neighbour."""
    layout = pack(num_labels, capacity, method)
    previous = None
    for row, start, end, _, offset in pieces(layout):
        if previous is not None and previous[0] == row and offset:
            assert start > previous[1]
        previous = (row, end)


def slow_best_fit(sizes: list[int], capacity: int) -> list[int]:
    """Looks at all rows for each size, largest first; of the fullest ones that have room, the last to become so."""
    free: list[int] = []
    touched: list[int] = []
    result = [0] * len(sizes)
    for clock, place in enumerate(sorted(range(len(sizes)), key=lambda i: -sizes[i])):
        fits = [row for row, room in enumerate(free) if room >= sizes[place]]
        if fits:
            row = min(fits, key=lambda row: (free[row], -touched[row]))
        else:
            row = len(free)
            free.append(capacity)
            touched.append(0)
        free[row] -= sizes[place]
        touched[row] = clock
        result[place] = row
    return result


@given(sizes=st.lists(st.integers(1, 30), max_size=200))
def test_best_fit_equals_slow_best_fit(sizes: list[int]) -> None:
    assert best_fit_decreasing(np.array(sizes, dtype=np.int64), 30).tolist() == slow_best_fit(sizes, 30)


def web_like(number: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.maximum(1, generator.lognormal(np.log(600), 1.1, number).astype(np.int64))


def test_padding_on_web_like_lengths_is_below_a_thousandth() -> None:
    num_labels = web_like(20_000)
    layout = pack(num_labels, 2048)
    padding = 1 - num_labels.sum() / (layout.num_rows * 2048)
    assert padding < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
def test_a_million_rows_equal_a_slow_oracle(seed: int) -> None:
    """However ties are broken, best fit leaves the same numbers of rows with each room: so many as the oracle's table."""
    num_labels = web_like(1_860_000, seed)
    layout = pack(num_labels, 2048)
    rests = num_labels[num_labels > 2048] % 2048
    sizes = np.concatenate((num_labels[num_labels <= 2048], rests[rests > 0] + 1))
    whole = int((num_labels[num_labels > 2048] // 2048).sum())
    expected = oracle_rooms(sizes, 2048)
    expected[0] += whole
    continued = layout.offset > 0
    first = np.append(True, layout.row[1:] != layout.row[:-1])
    rest = continued & (layout.end - layout.start < 2048)  # needs a position for its first input, except in front
    taken = np.bincount(layout.row, layout.end - layout.start + rest).astype(np.int64)
    assert np.bincount(2048 - taken, minlength=2049).tolist() == expected
    assert layout.num_rows == sum(expected) >= 900_000
    assert int((layout.end - layout.start).sum()) == int(num_labels.sum())
    assert (layout.offset % 2048 == 0).all(), "a piece begins elsewhere than after a whole row"
    assert (num_labels[layout.document[continued]] > 2048).all(), "a document that fits was cut"
    assert (layout.start[1:][~first[1:]] >= layout.end[:-1][~first[1:]]).all()
    assert (layout.end <= 2048).all()
    assert np.bincount(layout.document, layout.end - layout.start).astype(np.int64).tolist() == num_labels.tolist()


def oracle_rooms(sizes: np.ndarray, capacity: int) -> list[int]:
    """How many rows best-fit decreasing leaves with each number of free positions, by scanning a table of them."""
    rows_with = [0] * (capacity + 1)
    for size in sorted(sizes.tolist(), reverse=True):
        free = next((room for room in range(size, capacity) if rows_with[room]), capacity)
        if free < capacity:
            rows_with[free] -= 1
        rows_with[free - size] += 1
    return rows_with


def test_the_packer_is_fast_enough() -> None:
    """A floor far below what it does (1.6 M documents a CPU second), so that only a blunder trips it."""
    num_labels = web_like(100_000)
    begin = time.process_time()
    pack(num_labels, 2048)
    assert time.process_time() - begin < 0.5
