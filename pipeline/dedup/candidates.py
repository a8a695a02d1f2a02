"""Documents that share a band key, in pairs: who is to be compared with whom."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.dedup.bands import BAND
from pipeline.dedup.exchange import ExchangeWriter, Records, gather, read_exchange, received
from pipeline.dedup.plan import Plan, References, check_places, own, partition_of, parts_of
from pipeline.steps import Shard
from tokenizer.compiling import kept

if TYPE_CHECKING:
    from pipeline.stage import Outputs

PAIR = np.dtype([("a", "<u8"), ("b", "<u8")])  # a < b
WANTED = np.dtype([("ref", "<u8")])
REACH = 16
_CHUNK_PAIRS = 2_000_000
_HELD_PAIRS = 4_000_000
_LOW = np.uint64(0xFFFFFFFF)


@kept(nogil=True)
def _pair_up(
    keys: npt.NDArray[np.uint64],
    nodes: npt.NDArray[np.int64],
    at: int,
    second: int,
    group: int,
    limit: int,
    reach: int,
    first_own: int,
    out: npt.NDArray[np.uint64],
) -> tuple[int, int, int, int]:
    """Writes pairs of nodes to `out` until it is full, the smaller in the upper half of a number; returns how many,
    and where to go on (member, partner, group start)."""
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
                smaller, larger = min(nodes[second], nodes[at]), max(nodes[second], nodes[at])
                if close and larger >= first_own:
                    if num_pairs == out.shape[0]:
                        return num_pairs, at, second, group
                    out[num_pairs] = np.uint64(smaller) << np.uint64(32) | np.uint64(larger)
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
    Two documents below the reference `first_own` (of an earlier corpus) are not paired. Memory: 24 bytes a
    record, 100 a record whose key is not alone, 30 a pair of a chunk.
    """
    ordered = shared_keys(bands)
    refs, nodes = np.unique(ordered["ref"], return_inverse=True)
    keys, own_node = np.ascontiguousarray(ordered["key"]), int(np.searchsorted(refs, np.uint64(first_own)))
    out, held = np.empty(_CHUNK_PAIRS, np.uint64), np.zeros(0, np.uint64)
    at = second = group = 0
    while at < len(keys):
        num_pairs, at, second, group = _pair_up(keys, nodes, at, second, group, limit, reach, own_node, out)
        held = sorted_distinct(np.concatenate((held, out[:num_pairs])))  # hot bands bring the same pairs again
        if len(held) > _HELD_PAIRS:
            yield _unpacked(held, refs)
            held = held[:0]
    if len(held):
        yield _unpacked(held, refs)


def shared_keys(bands: Records) -> Records:
    """The records whose key is not alone, by key, then id, then reference."""
    order = np.argsort(bands["key"])
    same = np.diff(bands["key"][order]) == 0
    shared = np.concatenate((same, [False])) | np.concatenate(([False], same))
    found = bands[order[shared[: len(order)]]]
    return found[np.lexsort((found["ref"], found["id"], found["key"]))]


def sorted_distinct(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The values in order, each once."""
    ordered = np.sort(values)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(ordered)]]


def _unpacked(packed: npt.NDArray[np.uint64], refs: References) -> References:
    return np.stack((refs[packed >> np.uint64(32)], refs[packed & _LOW]), 1)


def distinct(pairs: References) -> References:
    """Pairs sorted, each once."""
    refs = sorted_distinct(pairs.ravel())
    firsts, seconds = (np.searchsorted(refs, pairs[:, place]).astype(np.uint64) for place in (0, 1))
    return _unpacked(sorted_distinct(firsts << np.uint64(32) | seconds), refs)


def gathered_pairs(paths: Iterable[str], destination: int) -> tuple[References, Mapping[str, int]]:
    """The distinct pairs that fell to one part, and what is counted of those that arrived.

    What is held is compacted on the way: memory grows with the distinct pairs, 48 bytes each, not with how often
    each was found.
    """
    found, most, arrived = np.zeros((0, 2), np.uint64), _HELD_PAIRS, Counter[str]()
    waiting: list[References] = []
    for path in paths:
        pairs = read_exchange(path, PAIR, destination)
        arrived.update(received("pairs", pairs))
        waiting.append(pairs.view("<u8").reshape(-1, 2))
        if sum(map(len, waiting)) > most:
            found, waiting = distinct(np.concatenate((found, *waiting))), []
            most = max(_HELD_PAIRS, len(found))
    return distinct(np.concatenate((found, *waiting))), arrived


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
        bands = gather(plan.arrivals("bands", plan.all_parts), BAND, index)
        check_places("bands", partition_of(bands["key"], plan.num_band_partitions), index)
        num_parts = len(plan.parts)
        with (
            ExchangeWriter(plan.work("pairs", index), PAIR, num_parts) as pairs,
            ExchangeWriter(plan.work("wanted", index), WANTED, num_parts) as wanted,
        ):
            for chunk in pairs_of_buckets(bands, plan.config.max_bucket, first_own=plan.num_earlier << 32):
                pairs.add(chunk.view(PAIR)[:, 0], owner(chunk, plan))
                refs = np.unique(chunk)
                wanted.add(refs.view(WANTED), parts_of(refs))
        return {**received("bands", bands), **pairs.sent("pairs"), **wanted.sent("wanted")}
