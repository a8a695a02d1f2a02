"""Captures of the same page, and equal texts, against a dictionary."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.exact import equal_texts, first_captures, later_captures, others_of_addresses
from pipeline.dedup.signatures import ADDRESSED, IDENTITY, address_keys


def identities(rows: list[tuple[int, int, int]]) -> np.ndarray:
    """Rows of (id, text hash, rank), in order of reference."""
    out = np.zeros(len(rows), IDENTITY)
    for place, (one, text, rank) in enumerate(rows):
        out[place] = (text // 3, text % 3, one // 4, one % 4, rank, place)
    return out


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 5), st.integers(0, 2)), max_size=25), st.randoms())
def test_captures_and_equals_against_dictionaries(rows: list[tuple[int, int, int]], random: object) -> None:
    given_rows = identities(rows)
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = given_rows[order]

    first: dict[int, int] = {}
    expected_captures = {ref: first.setdefault(one, ref) for ref, (one, _, _) in enumerate(rows)}
    expected_captures = {ref: by for ref, by in expected_captures.items() if ref != by}
    captures, changed = later_captures(shuffled)
    assert dict(zip(captures["ref"].tolist(), captures["by"].tolist(), strict=True)) == expected_captures
    assert captures["same_page"].all()
    assert (captures["id_low"] == captures["by_low"]).all()
    assert set(changed["ref"].tolist()) == {ref for ref, by in expected_captures.items() if rows[ref][1] != rows[by][1]}

    best: dict[int, tuple[int, int, int]] = {}
    for ref, (one, text, rank) in enumerate(rows):
        if ref not in expected_captures:
            best[text] = min(best.get(text, (rank, one, ref)), (rank, one, ref))
    expected = {
        ref: best[text][2]
        for ref, (_, text, _) in enumerate(rows)
        if ref not in expected_captures and best[text][2] != ref
    }
    found = equal_texts(first_captures(shuffled, changed["ref"]))
    assert dict(zip(found["ref"].tolist(), found["by"].tolist(), strict=True)) == expected


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 11), st.integers(0, 5), st.integers(0, 2), st.integers(0, 3)), max_size=25
    ),
    st.randoms(),
)  # fmt: skip
def test_one_of_each_address_against_a_dictionary(rows: list[tuple[int, int, int, int]], random: object) -> None:
    given_rows = np.zeros(len(rows), ADDRESSED)
    for place, (one, text, rank, address) in enumerate(rows):
        given_rows[place] = (text // 3, text % 3, one // 4, one % 4, rank, place, address // 2, address % 2)
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    best: dict[int, tuple[int, int, int]] = {}
    for ref, (one, _, rank, address) in enumerate(rows):
        best[address] = min(best.get(address, (rank, one, ref)), (rank, one, ref))
    expected = {ref: best[address][2] for ref, (*_, address) in enumerate(rows) if best[address][2] != ref}
    found, gone = others_of_addresses(given_rows[order])
    assert dict(zip(found["ref"].tolist(), found["by"].tolist(), strict=True)) == expected
    assert set(gone["ref"].tolist()) == expected.keys()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://example.org/a", "https://example.org/a", True),  # the page of before and after the certificate
        ("https://example.org/a#top", "https://EXAMPLE.org:443/a?utm_source=x", True),
        ("https://example.org/a", "https://example.org/A", False),
        ("https://example.org/a", "https://www.example.org/a", False),
        ("file:///a.jsonl#1", "file:///a.jsonl#1", False),  # no address of the web
        ("", "", False),
    ],
)
def test_what_is_one_address(one: str, other: str, same: bool) -> None:
    ids = np.arange(4, dtype=np.uint64).reshape(2, 2)
    first, second = address_keys([one, other], ids)
    assert (first == second).all() == same
    if not same and not one.startswith("http"):
        assert (address_keys([one, other], ids) == ids).all()
