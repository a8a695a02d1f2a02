"""The sizes of the clusters, and an alarm where one is suspiciously large."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.dedup.plan import DUPLICATES_OUTPUT, REJECTED_OUTPUT, Plan, id_numbers, id_text
from pipeline.places import join
from pipeline.steps import Shard
from pipeline.storage import write_json
from pipeline.tables import read_batches

if TYPE_CHECKING:
    from pipeline.stage import Outputs

LARGEST = 20
CLUSTERED = ("exact_duplicate", "near_duplicate")
_LOG = logging.getLogger(__name__)


def cluster_sizes(
    paths: Iterable[str],
) -> tuple[np.ndarray[Any, np.dtype[np.uint64]], np.ndarray[Any, np.dtype[np.int64]]]:
    """The survivors of the clusters, by id, and how many documents each cluster has (the survivor included).

    `paths` are files of rejections; memory: 16 bytes a rejection. Captures of the same page are not counted.
    """
    found = [np.zeros((0, 2), np.uint64)]
    for path in paths:
        for batch in read_batches(path, ["reason", "duplicate_of"], 8192):
            rows = zip(batch.column("reason").to_pylist(), batch.column("duplicate_of").to_pylist(), strict=True)
            ids = [by for reason, by in rows if reason in CLUSTERED]
            if ids:
                found.append(id_numbers(ids, path))
    survivors, counts = np.unique(np.concatenate(found), axis=0, return_counts=True)
    return survivors, counts + 1


@dataclass(kw_only=True)
class ReportClusters:
    """The last phase, one shard: duplicates/clusters.json with the histogram of sizes and the largest clusters."""

    plan: Plan

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Counts all rejections of the step by survivor."""
        plan, limit = self.plan, self.plan.config.alarm_cluster_size
        paths = [join(plan.run, REJECTED_OUTPUT, plan.part_name(part) + ".parquet") for part in plan.own_parts]
        survivors, sizes = cluster_sizes(paths)
        order = np.lexsort((survivors[:, 1], survivors[:, 0], -sizes))[:LARGEST]
        largest = [{"survivor": id_text(*survivors[at]), "documents": int(sizes[at])} for at in order]
        alarms = int(np.count_nonzero(sizes > limit))
        if alarms:
            _LOG.warning(
                "duplicates: %d clusters have more than %d documents, the largest %d (of %s)",
                alarms, limit, largest[0]["documents"], largest[0]["survivor"],
            )  # fmt: skip
        histogram = {str(size): count for size, count in sorted(Counter(sizes.tolist()).items())}
        value = {"clusters_by_size": histogram, "largest": largest, "alarm_cluster_size": limit, "alarms": alarms}
        outputs.add(DUPLICATES_OUTPUT, write_json(join(plan.run, DUPLICATES_OUTPUT, "clusters.json"), value))
        return {"clusters": len(sizes), "largest_cluster": int(sizes.max(initial=1)), "giant_clusters": alarms}
