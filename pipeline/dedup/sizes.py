"""How many documents each survivor stands for, itself included: the size of its cluster, known in the part that it is of.

Exact and near duplicates count. A page that was captured again (`same_page`, `same_address`) is the same document and does not, nor does
what an earlier corpus stands for: its documents are not here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.dedup.decisions import gone_of
from pipeline.dedup.exchange import Records, gather, received, write_exchange
from pipeline.dedup.plan import Plan, id_text, own, parts_of, rows_of
from pipeline.errors import DataError
from pipeline.steps import Shard
from pipeline.tables import CLUSTER_SIZE

if TYPE_CHECKING:
    from pipeline.stage import Outputs

# A survivor, and how many documents of one part it stands for.
SIZE = np.dtype([("ref", "<u8"), ("high", "<u8"), ("low", "<u8"), ("documents", "<u8")])


def counted(standing_for: Records) -> Records:
    """The documents that others stand for (`by` of records), each once, with their number."""
    _, firsts, counts = np.unique(standing_for["by"], return_index=True, return_counts=True)
    sizes = np.zeros(len(firsts), SIZE)
    for name, source in (("ref", "by"), ("high", "by_high"), ("low", "by_low")):
        sizes[name] = standing_for[source][firsts]
    sizes["documents"] = counts
    return sizes


@dataclass(kw_only=True)
class SendSizes:
    """A part each: tells the parts of the survivors how many documents of this one they stand for."""

    plan: Plan

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Counts the documents of one part that do not survive."""
        plan, part = self.plan, shard.work["index"]
        gone = gone_of(plan, part)
        names = ["by", "by_high", "by_low"]
        standing_for = np.concatenate((gone.equals[names], gone.near[names]))
        sizes = counted(standing_for[own(standing_for["by"], plan)])
        return write_exchange(plan.work("sizes", part), sizes, parts_of(sizes["ref"]), len(plan.parts)).sent("sizes")


class ClusterSizes:
    """The cluster sizes of the survivors of one part: how many documents each stands for, where that is asked for.

    `ids` are those of all documents of the part, `gone` the rows of those that do not survive.

    Raises:
        DataError: a document is named that is not there, is another one, or does not survive.
    """

    def __init__(self, plan: Plan, part: int, ids: npt.NDArray[np.uint64], gone: npt.NDArray[np.int64]) -> None:
        self.counts: Mapping[str, int] = {}
        self._sizes: npt.NDArray[np.int64] | None = None
        if plan.config.cluster_sizes:
            arrived = gather(plan.arrivals("sizes", plan.own_parts), SIZE, part)
            rows = rows_of(arrived["ref"])
            _check(plan, part, arrived, ids, gone)
            self._sizes, self.counts = np.ones(len(ids), np.int64), received("sizes", arrived)
            np.add.at(self._sizes, rows, arrived["documents"].astype(np.int64))

    def beside(self, row: int) -> dict[str, int]:
        """The column of the document in this row, if it is asked for."""
        return {} if self._sizes is None else {CLUSTER_SIZE: int(self._sizes[row])}


def _check(plan: Plan, part: int, sizes: Records, ids: npt.NDArray[np.uint64], gone: npt.NDArray[np.int64]) -> None:
    rows = rows_of(sizes["ref"])
    wrong = (rows >= len(ids)) | np.isin(rows, gone)
    inside = np.flatnonzero(~wrong)
    named = np.stack((sizes["high"], sizes["low"]), 1)
    wrong[inside] = (named[inside] != ids[rows[inside]]).any(axis=1)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{plan.where(part, int(rows[at]))} does not hold the survivor {id_text(*named[at])}, which stands for others: "
            "a record was lost or moved between phases"
        )
