"""Captures of the same page, and equal texts, against a dictionary."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.exact import equal_texts, first_captures, later_captures
from pipeline.dedup.signatures import IDENTITY


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
