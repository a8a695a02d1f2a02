"""The order of samples: permutations, exact mixtures, epochs, windows."""

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.order import Mixture, SampleOrder, integer_weights, key_of, permute
from pipeline.errors import SettingError

ROWS = {"books": 37, "code": 300, "web": 1000}


def samples(first: int, count: int) -> np.ndarray:
    return np.arange(first, first + count, dtype=np.int64)


def slow_permute(index: int, size: int, key: int) -> int:
    """The same with whole numbers of any size, one index at a time."""
    left_base = next(base for base in (math.isqrt(size), math.isqrt(size) + 1) if base * base >= size)
    right_base = (size + left_base - 1) // left_base
    drawn = hashlib.blake2b(key.to_bytes(8, "little"), digest_size=48).digest()
    keys = [int.from_bytes(drawn[8 * i : 8 * i + 8], "little") for i in range(6)]

    def mixed(word: int) -> int:
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
        return word ^ word >> 31

    while True:
        left, right = divmod(index, right_base)
        for even, odd in zip(keys[::2], keys[1::2], strict=True):
            left = (left + mixed(right ^ even)) % left_base
            right = (right + mixed(left ^ odd)) % right_base
        index = left * right_base + right
        if index < size:
            return index


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 251, 256, 257, 65_537])
@pytest.mark.parametrize("key", [0, 1, 2**64 - 1])
def test_permute_at_every_size_of_note(size: int, key: int) -> None:
    assert sorted(permute(samples(0, size), size, key).tolist()) == list(range(size))


@given(
    size=st.one_of(st.integers(1, 2**62), st.integers(2**31 - 2, 2**33)), key=st.integers(0, 2**64 - 1), data=st.data()
)
def test_permute_equals_whole_number_arithmetic(size: int, key: int, data: st.DataObject) -> None:
    """Also where 32 bits would overflow."""
    index = data.draw(st.integers(0, size - 1))
    assert permute(np.array([index]), size, key).tolist() == [slow_permute(index, size, key)]


def test_the_order_of_samples_is_part_of_the_format() -> None:
    """These numbers may never change, or runs would go on with other rows after an upgrade."""
    order = SampleOrder(ROWS, seed=7, weights={"web": 0.5, "code": 0.3, "books": 0.2})
    source, row = order.at(samples(10**12, 10))
    assert list(zip(source.tolist(), row.tolist(), strict=True)) == [
        (2, 729),
        (2, 242),
        (1, 178),
        (2, 872),
        (0, 35),
        (2, 962),
        (1, 133),
        (2, 922),
        (1, 69),
        (0, 3),
    ]


@given(size=st.integers(1, 3000), key=st.integers(0, 2**64 - 1))
def test_permute_is_a_permutation(size: int, key: int) -> None:
    assert sorted(permute(samples(0, size), size, key).tolist()) == list(range(size))


@given(size=st.integers(1, 2**62), key=st.integers(0, 2**64 - 1), data=st.data())
def test_permute_stays_in_range_and_collides_nowhere(size: int, key: int, data: st.DataObject) -> None:
    index = np.unique(np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=50)), dtype=np.int64))
    result = permute(index, size, key)
    assert ((result >= 0) & (result < size)).all()
    assert len(np.unique(result)) == len(index)
    assert np.array_equal(np.concatenate([permute(index[i : i + 1], size, key) for i in range(len(index))]), result)


def test_permute_looks_random() -> None:
    """Chi-squared of (position block, value block) pairs over 200 keys, and of the gaps between neighbours."""
    size, cells = 10_000, 16
    table = np.zeros((cells, cells))
    ascents = 0
    for key in range(200):
        result = permute(samples(0, size), size, key_of("quality", key))
        np.add.at(table, (np.arange(size) * cells // size, result * cells // size), 1)
        ascents += int((np.diff(result) > 0).sum())
    expected = 200 * size / cells**2
    chi_squared = ((table - expected) ** 2 / expected).sum()
    assert chi_squared < (cells - 1) ** 2 + 5 * np.sqrt(2 * (cells - 1) ** 2)
    assert abs(ascents / (200 * (size - 1)) - 0.5) < 0.002


def test_different_keys_give_unrelated_permutations() -> None:
    first, second = (permute(samples(0, 5000), 5000, key_of("rows", epoch)) for epoch in (0, 1))
    assert (first == second).mean() < 0.002
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


@given(weights=st.lists(st.integers(0, 50), min_size=1, max_size=9).filter(any), prefix=st.integers(0, 3000))
@settings(max_examples=60)
def test_mixture_is_exact_at_every_prefix(weights: list[int], prefix: int) -> None:
    mixture = Mixture(weights)
    source, rank = mixture.assign(samples(0, prefix))
    counts = mixture.counts(prefix)
    assert np.bincount(source, minlength=len(weights)).tolist() == counts
    levels = (len(weights) - 1).bit_length()
    for number, (weight, count) in enumerate(zip(weights, counts, strict=True)):
        assert abs(count - Fraction(prefix * weight, sum(weights))) <= levels
        assert rank[source == number].tolist() == list(range(count))
        if prefix * weight % sum(weights) == 0 and prefix % mixture.total == 0:
            assert count == prefix * weight // sum(weights)


@pytest.mark.parametrize("first", [0, 17, 10**12, 2**53 + 1, 2**61])
@pytest.mark.parametrize("weights", [(5, 3, 2), (1, 10**9), (2**40, 3**30, 7)])
def test_mixture_far_out_equals_whole_number_arithmetic(first: int, weights: tuple[int, ...]) -> None:
    mixture = Mixture(weights)
    source, rank = mixture.assign(samples(first, 50))
    for offset in range(50):
        before, after = mixture.counts(first + offset), mixture.counts(first + offset + 1)
        drawn = [b - a for a, b in zip(before, after, strict=True)]
        assert drawn == [int(number == source[offset]) for number in range(len(weights))]
        assert rank[offset] == before[source[offset]]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"a": 0.5, "b": 0.3, "c": 0.2}, (5, 3, 2)),  # decimals, not binary fractions
        ({"a": 1, "c": 2}, (1, 0, 2)),
        ({"b": 0.125}, (0, 1, 0)),
    ],
)
def test_weights_are_taken_as_they_are_written(weights: dict[str, float], expected: tuple[int, ...]) -> None:
    common = integer_weights(weights, ("a", "b", "c"))
    assert [Fraction(value, sum(common)) for value in common] == [Fraction(e, sum(expected)) for e in expected]


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"mail": 1.0}, "the source 'mail'; the shards have 'books', 'code', 'web'"),
        ({"web": -1.0}, "weight of source 'web' is -1.0"),
        ({"web": float("nan")}, "weight of source 'web' is nan"),
        ({"web": 0.0}, "all weights are 0"),
    ],
)
def test_wrong_weights_are_named(weights: dict[str, float], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        SampleOrder(ROWS, weights=weights)


@pytest.mark.parametrize("window_rows", [None, 256, 512])
@pytest.mark.parametrize("shuffle", [True, False])
def test_an_epoch_is_every_row_once(shuffle: bool, window_rows: int | None) -> None:
    order = SampleOrder(ROWS, shuffle=shuffle, window_rows=window_rows)
    orders = []
    for epoch in range(3):
        source, row = order.at(samples(epoch * order.num_rows, order.num_rows))
        seen = set(zip(source.tolist(), row.tolist(), strict=True))
        assert seen == {(number, i) for number, rows in enumerate(order.rows) for i in range(rows)}
        orders.append((source.tolist(), row.tolist()))
    assert (orders[0] == orders[1]) is (not shuffle)


def test_weighted_sources_go_through_their_own_epochs() -> None:
    order = SampleOrder(ROWS, weights={"books": 0.5, "web": 0.5})
    source, row = order.at(samples(0, 2 * 37 * 3))
    books = row[source == 0]
    assert (source == 1).sum() == 0
    for epoch in range(3):
        assert sorted(books[epoch * 37 : (epoch + 1) * 37].tolist()) == list(range(37))


@given(first=st.integers(0, 10_000), count=st.integers(1, 300))
def test_the_order_does_not_depend_on_how_it_is_asked_for(first: int, count: int) -> None:
    order = SampleOrder(ROWS, seed=3, weights={"books": 1, "code": 2, "web": 4})
    whole = order.at(samples(0, first + count))
    part = order.at(samples(first, count))
    assert np.array_equal(whole[0][first:], part[0])
    assert np.array_equal(whole[1][first:], part[1])


def test_a_window_keeps_reads_together() -> None:
    """Rows of one window lie in few blocks of 256; a global shuffle touches nearly all of them."""
    rows = {"web": 256 * 100}
    near = SampleOrder(rows, window_rows=512).at(samples(0, 512))[1] // 256
    far = SampleOrder(rows).at(samples(0, 512))[1] // 256
    assert len(np.unique(near)) == 2
    assert len(np.unique(far)) > 90


@pytest.mark.parametrize("window_rows", [0, 100, 300, -256])
def test_a_wrong_window_is_named(window_rows: int) -> None:
    with pytest.raises(SettingError, match=f"window_rows is {window_rows}"):
        SampleOrder(ROWS, window_rows=window_rows)


def test_other_weights_from_a_sample_on_continue_every_source() -> None:
    order = SampleOrder(ROWS, weights={"books": 1, "web": 3})
    before = order.at(samples(0, 400))
    order.reweigh(400, {"books": 1, "web": 1})
    order.reweigh(600, {"code": 1, "web": 1})
    assert [phase.start for phase in order.schedule] == [0, 400, 600]
    source, row = order.at(samples(0, 1000))
    assert np.array_equal(source[:400], before[0])
    assert np.array_equal(row[:400], before[1])
    assert np.bincount(source[400:600], minlength=3).tolist() == [100, 0, 100]
    assert np.bincount(source[600:], minlength=3).tolist() == [0, 200, 200]
    web = row[source == 2]
    assert len(web) == 300 + 100 + 200
    assert len(set(web.tolist())) == 600  # one epoch of web holds 1000 rows: none came twice


def test_weights_may_change_twice_at_one_sample() -> None:
    order = SampleOrder(ROWS)
    order.reweigh(0, {"web": 1})
    order.reweigh(0, {"code": 1})
    assert len(order.schedule) == 1
    assert set(order.at(samples(0, 10))[0].tolist()) == {1}
