"""Pages that were captured twice, and documents whose normalised text is the same.

Equal are texts with the same words and punctuation in the same order; white space, case and
Unicode form (composed, decomposed, compatible) do not count. 128 bits decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.dedup.exchange import Records, gather, received, write_exchange
from pipeline.dedup.plan import STANDING_FOR, Plan, References, check_places, partition_of, parts_of
from pipeline.dedup.signatures import IDENTITY, identity_of
from pipeline.steps import Shard

if TYPE_CHECKING:
    from pipeline.stage import Outputs

# A document that another one stands for. `same_page`: both have one id, and `by` is the earlier capture.
DUPLICATE = np.dtype([*STANDING_FOR, ("same_page", "<u1")])
# A document that is out before texts are compared.
GONE = np.dtype([("ref", "<u8")])


def later_captures(identities: Records) -> tuple[Records, Records]:
    """The documents whose id one in an earlier part or row has; and the identities of those whose text is another."""
    ordered = identities[np.lexsort((identities["ref"], identities["id_low"], identities["id_high"]))]
    later = np.concatenate(([False], _same(ordered, "id_high", "id_low")))[: len(ordered)]
    firsts = ordered[np.maximum.accumulate(np.where(later, 0, np.arange(len(ordered))))]
    found = _duplicates(ordered[later], firsts[later], same_page=True)
    changed = (ordered["hash_high"] != firsts["hash_high"]) | (ordered["hash_low"] != firsts["hash_low"])
    return found, ordered[later & changed]


def others_of_addresses(addressed: Records) -> tuple[Records, Records]:
    """The documents whose address another one stands for: in each group the lowest rank, then the smallest id, then the
    earliest; and their identities."""
    others, by = _others(addressed, "key_high", "key_low")
    return _duplicates(others, by, same_page=False), others


def _refs(identities: Records) -> Records:
    refs = np.zeros(len(identities), GONE)
    refs["ref"] = identities["ref"]
    return refs


def first_captures(identities: Records, changed: References) -> Records:
    """Those of a whole group of equal texts that are no later captures. `changed` are the later captures whose
    first has another text; those whose first has the same text stand here beside it."""
    kept = identities[~np.isin(identities["ref"], changed)]
    keys = ("ref", "id_low", "id_high", "hash_low", "hash_high")
    ordered = kept[np.lexsort(tuple(kept[key] for key in keys))]
    return ordered[
        ~np.concatenate(([False], _same(ordered, "hash_high", "hash_low", "id_high", "id_low")))[: len(ordered)]
    ]


def equal_texts(identities: Records) -> Records:
    """The documents for whose text another one stands: in each group of equal texts the lowest rank, then the
    smallest id, then the earliest."""
    return _duplicates(*_others(identities, "hash_high", "hash_low"), same_page=False)


def _others(identities: Records, high: str, low: str) -> tuple[Records, Records]:
    """The documents that do not come first in their group, which `high` and `low` name, and for each the one that does."""
    keys = ("ref", "id_low", "id_high", "rank", low, high)
    ordered = identities[np.lexsort(tuple(identities[key] for key in keys))]
    other = np.concatenate(([False], _same(ordered, high, low)))[: len(ordered)]
    firsts = np.maximum.accumulate(np.where(other, 0, np.arange(len(ordered))))
    return ordered[other], ordered[firsts[other]]


def _same(ordered: Records, *keys: str) -> npt.NDArray[np.bool_]:
    same = np.ones(max(len(ordered) - 1, 0), dtype=bool)
    for key in keys:
        same &= ordered[key][1:] == ordered[key][:-1]
    return same


def _duplicates(documents: Records, by: Records, *, same_page: bool) -> Records:
    duplicates = np.zeros(len(documents), DUPLICATE)
    for name in ("ref", "id_high", "id_low"):
        duplicates[name] = documents[name]
    duplicates["by"], duplicates["by_high"], duplicates["by_low"] = (by["ref"], by["id_high"], by["id_low"])
    duplicates["same_page"] = same_page
    return duplicates


@dataclass(kw_only=True)
class FindCaptures:
    """Phase 2, a range of ids each: leaves the later captures of each page; by address, the others of each address."""

    plan: Plan

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Works through one range of ids."""
        plan, index = self.plan, shard.work["index"]
        by_address, partitions = plan.config.one_per_address, plan.num_identity_partitions
        identities = gather(plan.arrivals("by_id", plan.all_parts), identity_of(plan), index)
        place = identities["key_high" if by_address else "id_high"]
        check_places("by_id", partition_of(place, partitions), index)
        found, gone = others_of_addresses(identities) if by_address else later_captures(identities)
        write_exchange(plan.work("captures", index), found, parts_of(found["ref"]), len(plan.parts))
        write_exchange(plan.work("gone", index), _refs(gone), partition_of(gone["hash_high"], partitions), partitions)
        return {**received("by_id", identities), "sent/decisions": len(found)}


@dataclass(kw_only=True)
class FindEqualTexts:
    """Phase 3, a range of text hashes each: leaves the documents that have an equal with precedence."""

    plan: Plan

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Works through one range of text hashes."""
        plan, index = self.plan, shard.work["index"]
        identities = gather(plan.arrivals("by_text", plan.all_parts), IDENTITY, index)
        check_places("by_text", partition_of(identities["hash_high"], plan.num_identity_partitions), index)
        gone = gather(plan.arrivals("gone", plan.identity_partitions), GONE, index)["ref"]
        if plan.config.one_per_address:  # what was captured twice is among them
            found = equal_texts(identities[~np.isin(identities["ref"], gone)])
        else:
            found = equal_texts(first_captures(identities, gone))
        write_exchange(plan.work("equals", index), found, parts_of(found["ref"]), len(plan.parts))
        return {**received("by_text", identities), "sent/decisions": len(found)}
