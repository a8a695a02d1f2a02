"""The phases of a deduplication in order, each a worker and its shards. No Beam here.

SignParts        part       text → hashes, signature             (the one reading of all texts but the last)
FindCaptures     id range   the same page captured twice
FindEqualTexts   hash range equal normalised texts
BandParts        part       signatures of what is left → band keys
PairBuckets      key range  equal band keys → pairs
GatherSets       part       texts of candidates → shingle sets
VerifyPairs      part       pairs → exact Jaccard, kept at or above the threshold
ClusterDocuments one        pairs → connected components → survivors by policy
ApplyDecisions   part       documents → documents/, rejected/dedup/
ReportClusters   one        duplicates/clusters.json
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pipeline.dedup.apply import ApplyDecisions
from pipeline.dedup.bands import BandParts
from pipeline.dedup.candidates import PairBuckets
from pipeline.dedup.clusters import ClusterDocuments
from pipeline.dedup.components import DecideComponents, SendLabels, SendMembers, SpreadEdges, StarRound
from pipeline.dedup.exact import FindCaptures, FindEqualTexts
from pipeline.dedup.passages import FindRepeated, SendPassages
from pipeline.dedup.plan import Plan, shard
from pipeline.dedup.report import ReportClusters
from pipeline.dedup.signatures import SignParts
from pipeline.dedup.verify import GatherSets, VerifyPairs

if TYPE_CHECKING:
    from pipeline.stage import ShardWorker
    from pipeline.steps import Shard


class Phase(NamedTuple):
    """One phase; it begins when the one before has ended."""

    name: str
    worker: "ShardWorker"
    shards: "Sequence[Shard]"


def _phase(name: str, worker: "ShardWorker", numbers: range) -> Phase:
    return Phase(name, worker, [shard(name, number) for number in numbers])


def finding_phases(plan: Plan) -> list[Phase]:
    """From texts to verified pairs."""
    parts = range(len(plan.parts))
    identities, bands = range(plan.num_identity_partitions), range(plan.num_band_partitions)
    exact = [
        _phase("signatures", SignParts(plan=plan), parts),
        _phase("captures", FindCaptures(plan=plan), identities),
        _phase("exact", FindEqualTexts(plan=plan), identities),
    ]
    near = [
        _phase("bands", BandParts(plan=plan), parts),
        _phase("candidates", PairBuckets(plan=plan), bands),
        _phase("shingles", GatherSets(plan=plan), parts),
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
        _phase("members", SendMembers(plan=plan, num_partitions=partitions), range(len(plan.parts))),
        _phase("components", DecideComponents(plan=plan, num_partitions=partitions), numbers),
    ]


def passage_phases(plan: Plan) -> list[Phase]:
    """From the texts of survivors to repeated passages, where they are asked for."""
    if plan.config.passages.action == "off":
        return []
    return [
        _phase("passages", SendPassages(plan=plan), plan.own_parts),
        _phase("repeated", FindRepeated(plan=plan), range(plan.num_band_partitions)),
    ]


def applying_phases(plan: Plan) -> list[Phase]:
    """From decisions to survivors and rejections."""
    parts = [shard("apply", part, plan.part_name(part)) for part in plan.own_parts]
    return [Phase("apply", ApplyDecisions(plan=plan), parts), _phase("report", ReportClusters(plan=plan), range(1))]


def shards_of(phases: Sequence[Phase]) -> "list[Shard]":
    """The shards of some phases."""
    return [one for phase in phases for one in phase.shards]
