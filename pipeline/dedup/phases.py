"""The phases of a deduplication in order, each a worker and its shards. No Beam here.

SignParts        part       text → hashes, signature             (the one reading of all texts but the last)
FindCaptures     id range   the same page captured twice
FindEqualTexts   hash range equal normalised texts
BandParts        part       signatures of what is left → band keys
PairBuckets      key range  equal band keys → pairs
GatherSets       part       texts of candidates → shingle sets
VerifyPairs      part       pairs → exact Jaccard, kept at or above the threshold
ClusterDocuments one        pairs → connected components → survivors by policy
SendSizes        part       decisions → how many documents a survivor stands for, where that is asked
ApplyDecisions   part       documents → documents/, rejected/dedup/
ReportClusters   one        duplicates/clusters.json

Where a phase leaves very many files, MergeExchanges makes few of them before the next.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pipeline.dedup.apply import ApplyDecisions
from pipeline.dedup.bands import BandParts
from pipeline.dedup.candidates import PairBuckets
from pipeline.dedup.clusters import ClusterDocuments
from pipeline.dedup.components import DecideComponents, SendLabels, SendMembers, SpreadEdges, StarRound
from pipeline.dedup.exact import FindCaptures, FindEqualTexts
from pipeline.dedup.merging import MergeExchanges
from pipeline.dedup.passages import FindRepeated, SendPassages
from pipeline.dedup.plan import Plan, shard
from pipeline.dedup.report import ReportClusters
from pipeline.dedup.signatures import SignParts
from pipeline.dedup.sizes import SendSizes
from pipeline.dedup.verify import GatherSets, VerifyPairs
from pipeline.errors import DataError
from pipeline.steps import Shard

if TYPE_CHECKING:
    from pipeline.stage import ShardWorker


class Phase(NamedTuple):
    """One phase; it begins when the one before has ended."""

    name: str
    worker: "ShardWorker"
    shards: Sequence[Shard]


def _phase(name: str, worker: "ShardWorker", numbers: range) -> Phase:
    return Phase(name, worker, [shard(name, number) for number in numbers])


def _merging(plan: Plan, numbers: range, *kinds: str) -> list[Phase]:
    """The phase that merges what the shards `numbers` of the phase before left; none where their files are few."""
    name, groups = f"merge-{kinds[0]}", plan.groups(numbers)
    shards = [
        Shard(
            name=f"{name}/{kind}-{group:05d}",
            work={"phase": name, "kind": kind, "group": group, "numbers": [members.start, members.stop]},
        )
        for kind in kinds
        for group, members in enumerate(groups)
    ]
    return [Phase(name, MergeExchanges(plan=plan), shards)] if shards else []


def finding_phases(plan: Plan) -> list[Phase]:
    """From texts to verified pairs."""
    exact = [
        _phase("signatures", SignParts(plan=plan), plan.all_parts),
        *_merging(plan, plan.all_parts, "by_id", "by_text"),
        _phase("captures", FindCaptures(plan=plan), plan.identity_partitions),
        *_merging(plan, plan.identity_partitions, "gone"),
        _phase("exact", FindEqualTexts(plan=plan), plan.identity_partitions),
        *_merging(plan, plan.identity_partitions, "captures", "equals"),
    ]
    near = [
        _phase("bands", BandParts(plan=plan), plan.all_parts),
        *_merging(plan, plan.all_parts, "bands"),
        _phase("candidates", PairBuckets(plan=plan), plan.band_partitions),
        *_merging(plan, plan.band_partitions, "pairs", "wanted"),
        _phase("shingles", GatherSets(plan=plan), plan.all_parts),
        _phase("verify", VerifyPairs(plan=plan), plan.own_parts),
    ]
    return exact + near if plan.config.near else exact


def clustering_phases(plan: Plan) -> list[Phase]:
    """From verified pairs to decisions, in the memory of one worker."""
    return [_phase("clusters", ClusterDocuments(plan=plan), range(1))] if plan.config.near else []


def spreading_phases(plan: Plan, partitions: int) -> list[Phase]:
    """From verified pairs to the edges of the first star round, for components larger than memory."""
    return [_phase("spread", SpreadEdges(plan=plan, num_partitions=partitions), plan.own_parts)]


def star_phases(plan: Plan, partitions: int, last: int) -> list[Phase]:
    """Two star rounds, up to number `last`: nothing is left to do when neither changes an edge."""
    return [
        _phase(f"stars-{n:03d}", StarRound(plan=plan, number=n, num_partitions=partitions), range(partitions))
        for n in (last - 1, last)
    ]


def labelling_phases(plan: Plan, partitions: int, last: int) -> list[Phase]:
    """From the stars that round `last` left to decisions, in as many files as there are partitions."""
    numbers = range(partitions)
    return [
        _phase("labels", SendLabels(plan=plan, number=last, num_partitions=partitions), numbers),
        _phase("members", SendMembers(plan=plan, num_partitions=partitions), plan.all_parts),
        _phase("components", DecideComponents(plan=plan, num_partitions=partitions), numbers),
    ]


def passage_phases(plan: Plan) -> list[Phase]:
    """From the texts of survivors to repeated passages, where they are asked for."""
    if plan.config.passages.action == "off":
        return []
    return [
        _phase("passages", SendPassages(plan=plan), plan.own_parts),
        *_merging(plan, plan.own_parts, "passages"),
        _phase("repeated", FindRepeated(plan=plan), plan.band_partitions),
    ]


def sizing_phases(plan: Plan) -> list[Phase]:
    """From decisions to the cluster sizes of survivors, where they are asked for."""
    if not plan.config.cluster_sizes:
        return []
    return [_phase("sizes", SendSizes(plan=plan), plan.own_parts), *_merging(plan, plan.own_parts, "sizes")]


def applying_phases(plan: Plan) -> list[Phase]:
    """From decisions to survivors and rejections."""
    parts = [shard("apply", part, plan.part_name(part)) for part in plan.own_parts]
    return [Phase("apply", ApplyDecisions(plan=plan), parts), _phase("report", ReportClusters(plan=plan), range(1))]


def last_phases(plan: Plan) -> list[Phase]:
    """From decisions to the datasets."""
    return passage_phases(plan) + sizing_phases(plan) + applying_phases(plan)


def check_arrivals(counts: Mapping[str, int]) -> None:
    """Compares what the phases sent (`sent/KIND`) with what arrived (`received/KIND`).

    Raises:
        DataError: records of some kind were lost, came twice, or are not those that were sent.
    """
    for name, sent in sorted(counts.items()):
        kind = name.removeprefix("sent/")
        arrived = counts.get(f"received/{kind}", 0)
        if name == kind or sent == arrived:
            continue
        if kind.endswith("/sum"):
            kind = kind.removesuffix("/sum")
            raise DataError(
                f"the records ({kind}) that arrived between the phases of dedup are not those that were sent"
            )
        raise DataError(f"{sent} records ({kind}) were sent between the phases of dedup, but {arrived} arrived")


def shards_of(phases: Sequence[Phase]) -> list[Shard]:
    """The shards of some phases."""
    return [one for phase in phases for one in phase.shards]
