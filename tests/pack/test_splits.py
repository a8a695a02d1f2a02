"""Which documents are held out."""

import pytest

from pipeline.errors import SettingError
from pipeline.pack.config import PackConfig
from pipeline.pack.splits import HeldOut
from pipeline.records import page_id

IDS = [page_id(f"https://example.org/{i}", b"") for i in range(20_000)]


def test_a_share_holds_out_about_that_share() -> None:
    held_out = HeldOut.by_share(0.1)
    assert 1800 < sum(held_out.split_of(id) == "heldout" for id in IDS) < 2200


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.999999999, len(IDS))])
def test_extreme_shares(share: float, expected: int) -> None:
    assert sum(HeldOut.by_share(share).split_of(id) == "heldout" for id in IDS) == expected


def test_a_larger_share_keeps_what_a_smaller_one_held_out() -> None:
    small, large = HeldOut.by_share(0.01), HeldOut.by_share(0.02)
    assert all(large.split_of(id) == "heldout" for id in IDS if small.split_of(id) == "heldout")


@pytest.mark.parametrize("number", [0, 1, 17, 20_000, 30_000])
def test_a_number_holds_out_exactly_that_many(number: int) -> None:
    held_out = HeldOut.by_number(number, IDS)
    assert sum(held_out.split_of(id) == "heldout" for id in IDS) == min(number, len(IDS))


def test_seeds_hold_out_different_documents() -> None:
    first, second = ({id for id in IDS if HeldOut.by_share(0.05, seed).split_of(id) == "heldout"} for seed in (0, 1))
    assert len(first & second) < len(first) / 5


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"sequence_length": 1}, "pack.sequence_length is 1"),
        ({"heldout_share": 1.0}, "pack.heldout_share is 1.0"),
        ({"heldout_documents": -1}, "pack.heldout_documents is -1"),
        ({"shard_tokens": 10}, "pack.shard_tokens is 10"),
        ({"method": "first_fit"}, "pack.method is 'first_fit'"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], names: str) -> None:
    with pytest.raises(SettingError, match=names):
        PackConfig(**settings)  # type: ignore[arg-type]
