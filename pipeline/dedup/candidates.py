"""Documents that share a band key, in pairs: who is to be compared with whom."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
import numpy.typing as npt

from pipeline.dedup.bands import BAND
from pipeline.dedup.exchange import ExchangeWriter, Records, gather
from pipeline.dedup.plan import Plan, References, own, parts_of
from pipeline.steps import Shard

if TYPE_CHECKING:
    from pipeline.stage import Outputs

PAIR = np.dtype([("a", "<u8"), ("b", "<u8")])  # a < b
WANTED = np.dtype([("ref", "<u8")])
REACH = 16
_CHUNK_PAIRS = 2_000_000


@numba.njit(cache=True, nogil=True)
def _pair_up(
    keys: npt.NDArray[np.uint64],
    refs: References,
    at: int,
    second: int,
    group: int,
    limit: int,
    reach: int,
    first_own: np.uint64,
    out: npt.NDArray[np.uint64],
) -> tuple[int, int, int, int]:
    """Writes pairs to `out` until it is full; returns how many, and where to go on (member, partner, group start)."""
    num_pairs = 0
    while at < keys.shape[0]:
        if keys[at] != keys[group]:
            group, second = at, at
        end = at
        while end < keys.shape[0] and keys[end] == keys[group]:
            end += 1
        while at < end:
            while second < at:
                close = end - group <= limit or second < group + reach or second >= at - reach
                if close and max(refs[second], refs[at]) >= first_own:
                    if num_pairs == out.shape[0]:
                        return num_pairs, at, second, group
                    out[num_pairs, 0] = min(refs[second], refs[at])
                    out[num_pairs, 1] = max(refs[second], refs[at])
                    num_pairs += 1
                # In a large bucket the middle is skipped at once.
                second = max(second + 1, at - reach) if not close else second + 1
            at += 1
            second = group
    return num_pairs, at, second, group


def pairs_of_buckets(bands: Records, limit: int, reach: int = REACH, first_own: int = 0) -> Iterator[References]:
    """The distinct pairs of documents with a common key, in chunks; a pair may come again in a later chunk.

    Up to `limit` documents with one key are paired all with all. In a larger bucket each is paired with the
    `reach` smallest ids and the `reach` before it, so that work grows with its size and not with the square.
    Two documents below the reference `first_own` (of an earlier corpus) are not paired.
    """
    ordered = bands[np.lexsort((bands["ref"], bands["id"], bands["key"]))]
    keys, refs = (np.ascontiguousarray(ordered["key"]), np.ascontiguousarray(ordered["ref"]))
    out = np.empty((_CHUNK_PAIRS, 2), np.uint64)
    at = second = group = 0
    while at < len(keys):
        num_pairs, at, second, group = _pair_up(keys, refs, at, second, group, limit, reach, np.uint64(first_own), out)
        if num_pairs:
            yield distinct(out[:num_pairs])


def distinct(pairs: References) -> References:
    """Pairs sorted, each once."""
    ordered = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    new = np.concatenate(([True], (ordered[1:] != ordered[:-1]).any(axis=1)))[: len(ordered)]
    return ordered[new]


def owner(pairs: References, plan: Plan) -> npt.NDArray[np.int64]:
    """The part that compares each pair: that of one of the two, evenly, but never an earlier one."""
    first = ((pairs[:, 0] ^ pairs[:, 1]) & np.uint64(1) == 0) & own(pairs[:, 0], plan)
    return np.where(first, parts_of(pairs[:, 0]), parts_of(pairs[:, 1]))


@dataclass(kw_only=True)
class PairBuckets:
    """Phase 5, a range of band keys each: leaves pairs for the parts that compare them."""

    plan: Plan

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Works through one range of band keys."""
        plan, index = self.plan, shard.work["index"]
        bands = gather(plan.work_files("bands", len(plan.parts)), BAND, index)
        num_parts = len(plan.parts)
        with (
            ExchangeWriter(plan.work("pairs", index), PAIR, num_parts) as pairs,
            ExchangeWriter(plan.work("wanted", index), WANTED, num_parts) as wanted,
        ):
            for chunk in pairs_of_buckets(bands, plan.config.max_bucket, first_own=plan.num_earlier << 32):
                pairs.add(chunk.view(PAIR)[:, 0], owner(chunk, plan))
                refs = np.unique(chunk)
                wanted.add(refs.view(WANTED), parts_of(refs))
        return {"band_keys": len(bands), "bucket_pairs": pairs.num_records}
