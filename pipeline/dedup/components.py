"""Connected components larger than memory: rounds of large-star and small-star over partitions of nodes.

In a large-star round each node joins its larger neighbours to the least node that it sees; in a small-star
round it joins itself and its smaller neighbours to the least of them. Alternated until neither changes
anything, each component is a star around its least node (Kiveris et al., Connected Components in MapReduce
and Beyond, 2014); in practice after about as many rounds as the diameter has binary digits. A shard of a
round holds the edges of one partition of nodes; what it makes goes to the next round through exchange files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from pipeline.dedup.clusters import NEAR, components, survivors_of
from pipeline.dedup.exchange import Records, gather, received, write_exchange
from pipeline.dedup.plan import Plan, References, parts_of, references
from pipeline.dedup.verify import EDGE, read_index
from pipeline.steps import Shard

if TYPE_CHECKING:
    from pipeline.stage import Outputs

Kind = Literal["large", "small"]

LINK = np.dtype([("node", "<u8"), ("other", "<u8")])
MEMBER = np.dtype([("root", "<u8"), ("ref", "<u8"), ("high", "<u8"), ("low", "<u8"), ("rank", "<f8")])
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def large_star(links: References) -> tuple[References, int]:
    """The edges after a large-star round, and how many of them are new; `links` holds every edge of its nodes."""
    ordered, groups, least = _neighbourhoods(links)
    larger = ordered[:, 1] > ordered[:, 0]
    found = np.stack((ordered[:, 1], least[groups]), 1)[larger]
    return found, int(np.count_nonzero(least[groups][larger] != ordered[:, 0][larger]))


def small_star(links: References) -> tuple[References, int]:
    """The edges after a small-star round, and how many of them are new; `links` runs from larger to smaller nodes."""
    ordered, groups, least = _neighbourhoods(links)
    others = ordered[:, 1] != least[groups]
    selves, first = np.unique(ordered[:, 0], return_index=True)
    found = np.concatenate(
        (np.stack((ordered[:, 1], least[groups]), 1)[others], np.stack((selves, least[groups[first]]), 1))
    )
    return found, int(np.count_nonzero(others))


def _neighbourhoods(links: References) -> tuple[References, npt.NDArray[np.int64], References]:
    """The distinct links in order, the neighbourhood of each, and the least node of each neighbourhood."""
    ordered = np.unique(links, axis=0).reshape(-1, 2)
    starts = np.flatnonzero(np.concatenate(([True], np.diff(ordered[:, 0]) != 0))[: len(ordered)])
    groups = np.zeros(len(ordered), np.int64)
    groups[starts[1:]] = 1
    least = np.minimum(ordered[starts, 0], ordered[starts, 1])
    return ordered, np.cumsum(groups), least


def directed(edges: References, kind: Kind) -> References:
    """The links that a round of this kind needs: both directions of each edge, or the one to the smaller node."""
    if kind == "large":
        return np.concatenate((edges, edges[:, ::-1]))
    return np.sort(edges, axis=1)[:, ::-1]


def partition_nodes(nodes: References, num_partitions: int) -> npt.NDArray[np.int64]:
    """The partition of each node."""
    return ((nodes * _FACTOR >> np.uint64(32)) * np.uint64(num_partitions) >> np.uint64(32)).astype(np.int64)


def _send(plan: Plan, number: int, place: int, links: References, num_partitions: int) -> Mapping[str, int]:
    """Sends the links that round `number` left to the next; returns the counts of that."""
    kind, records = round_name(number), np.ascontiguousarray(links).view(LINK).reshape(-1)
    places = partition_nodes(links[:, 0], num_partitions)
    return write_exchange(plan.work(kind, place), records, places, num_partitions).sent(kind)


def _received(plan: Plan, number: int, senders: int, partition: int) -> tuple[References, Mapping[str, int]]:
    """The links that round `number` left for a partition, and the counts of that."""
    kind = round_name(number)
    records = gather(plan.work_files(kind, senders), LINK, partition)
    return records.view("<u8").reshape(-1, 2), received(kind, records)


def round_name(number: int) -> str:
    """The kind of the work files that round `number` leaves; round 0 is the edges themselves."""
    return f"stars-{number:03d}"


@dataclass(kw_only=True)
class SpreadEdges:
    """A part each: sends the verified pairs of the part, reduced to a spanning star of each of its components."""

    plan: Plan
    num_partitions: int

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Sends the edges of one part to the first round, which is a large-star."""
        part = shard.work["index"]
        edges = gather([self.plan.work("edges", part)], EDGE, 0)
        pairs = np.stack((edges["a"], edges["b"]), 1)
        nodes = np.unique(pairs)
        roots = components(np.searchsorted(nodes, pairs[:, 0]), np.searchsorted(nodes, pairs[:, 1]), len(nodes))
        stars = np.stack((nodes, nodes[roots]), 1)[roots != np.arange(len(nodes))]
        place = part - self.plan.num_earlier
        sent = _send(self.plan, 0, place, directed(stars, "large"), self.num_partitions)
        return {**received("edges", edges), **sent}


@dataclass(kw_only=True)
class StarRound:
    """A partition of nodes each: one large-star (odd rounds) or small-star (even rounds) round."""

    plan: Plan
    number: int
    num_partitions: int

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Works through one partition; counts the edges that the round changed."""
        large, partition = self.number % 2 == 1, shard.work["index"]
        senders = len(self.plan.own_parts) if self.number == 1 else self.num_partitions
        links, arrived = _received(self.plan, self.number - 1, senders, partition)
        found, changed = large_star(links) if large else small_star(links)
        following: Kind = "small" if large else "large"
        sent = _send(self.plan, self.number, partition, directed(found, following), self.num_partitions)
        return {**arrived, **sent, f"changed/{self.number:03d}": changed}


@dataclass(kw_only=True)
class SendLabels:
    """A partition each: tells the parts which node is the root of each of their documents."""

    plan: Plan
    number: int
    num_partitions: int

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Sends the labels of one partition; the last round was a small-star, so links go both ways."""
        partition = shard.work["index"]
        links, arrived = _received(self.plan, self.number, self.num_partitions, partition)
        labels = np.unique(links, axis=0).reshape(-1, 2)
        labels = np.ascontiguousarray(labels[labels[:, 0] > labels[:, 1]])
        path, num_parts = self.plan.work("labels", partition), len(self.plan.parts)
        sent = write_exchange(path, labels.view(LINK).reshape(-1), parts_of(labels[:, 0]), num_parts)
        return {**arrived, **sent.sent("labels")}


@dataclass(kw_only=True)
class SendMembers:
    """A part each: sends its candidates, with what decides about survival, to where their component meets."""

    plan: Plan
    num_partitions: int

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Sends the candidates of one part."""
        plan, part = self.plan, shard.work["index"]
        labels = gather(plan.work_files("labels", self.num_partitions), LINK, part)
        arrived, labels = received("labels", labels), labels[np.argsort(labels["node"])]
        nodes = read_index(plan.work("sets", part))
        members = np.zeros(len(nodes), MEMBER)
        members["ref"] = members["root"] = references(part, nodes["row"])
        members["root"][np.searchsorted(members["ref"], labels["node"])] = labels["other"]
        members["high"], members["low"], members["rank"] = nodes["id_high"], nodes["id_low"], nodes["rank"]
        destinations = partition_nodes(members["root"], self.num_partitions)
        sent = write_exchange(plan.work("members", part), members, destinations, self.num_partitions)
        return {**arrived, **sent.sent("members")}


@dataclass(kw_only=True)
class DecideComponents:
    """A partition of components each: decides who survives in each."""

    plan: Plan
    num_partitions: int

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Decides about the components of one partition."""
        plan, partition = self.plan, shard.work["index"]
        members = gather(plan.work_files("members", len(plan.parts)), MEMBER, partition)
        found = decide_members(members)
        write_exchange(plan.work("near", partition), found, parts_of(found["ref"]), len(plan.parts))
        return {**received("members", members), "sent/decisions": len(found)}


def decide_members(members: Records) -> Records:
    """The documents that do not survive in whole components, by reference; similarities are computed later."""
    survivors = survivors_of(np.unique(members["root"], return_inverse=True)[1], members)
    gone = np.flatnonzero(survivors != np.arange(len(members)))
    winners = members[survivors[gone]]
    decisions = np.zeros(len(gone), NEAR)
    decisions["ref"], decisions["by"], decisions["similarity"] = members["ref"][gone], winners["ref"], np.nan
    for name in ("high", "low"):
        decisions[f"id_{name}"], decisions[f"by_{name}"] = members[name][gone], winners[name]
    return decisions[np.argsort(decisions["ref"])]
