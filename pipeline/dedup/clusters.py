"""Clusters of near duplicates: the connected components of the verified pairs, and who survives in each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.dedup.exchange import Records, gather, received, write_exchange
from pipeline.dedup.plan import STANDING_FOR, Plan, References, parts_of
from pipeline.dedup.verify import EDGE
from pipeline.steps import Shard
from tokenizer.compiling import kept

if TYPE_CHECKING:
    from pipeline.stage import Outputs

# A document that is rejected for `by`; `similarity` is not a number where the two were not compared yet.
NEAR = np.dtype([*STANDING_FOR, ("similarity", "<f8")])
_NODE = np.dtype([("ref", "<u8"), ("high", "<u8"), ("low", "<u8"), ("rank", "<f8")])


@kept(nogil=True)
def components(firsts: npt.NDArray[np.int64], seconds: npt.NDArray[np.int64], num_nodes: int) -> npt.NDArray[np.int64]:
    """For each node the least node of its connected component, by union-find with path halving."""
    parent = np.arange(num_nodes)
    for i in range(firsts.shape[0]):
        a, b = firsts[i], seconds[i]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    for node in range(num_nodes):  # the least node is its own parent, and parents never exceed children
        parent[node] = parent[parent[node]]
    return parent


def nodes_of(edges: Records) -> Records:
    """The documents at the ends of `edges`, each once, by reference."""
    both = np.zeros(2 * len(edges), _NODE)
    for letter, half in (("a", both[: len(edges)]), ("b", both[len(edges) :])):
        half["ref"], half["rank"] = edges[letter], edges[f"{letter}_rank"]
        half["high"], half["low"] = edges[f"{letter}_high"], edges[f"{letter}_low"]
    _, first = np.unique(both["ref"], return_index=True)
    return both[first]


def decide(edges: Records) -> Records:
    """The documents that do not survive, by reference: in each component all but the one of the lowest rank,
    then the smallest id."""
    nodes = nodes_of(edges)
    firsts, seconds = (np.searchsorted(nodes["ref"], edges["a"]), np.searchsorted(nodes["ref"], edges["b"]))
    roots = components(firsts, seconds, len(nodes))
    survivors = survivors_of(roots, nodes)
    gone = np.flatnonzero(survivors != np.arange(len(nodes)))
    decisions = np.zeros(len(gone), NEAR)
    winners = nodes[survivors[gone]]
    decisions["ref"], decisions["by"] = nodes["ref"][gone], winners["ref"]
    for name in ("high", "low"):
        decisions[f"id_{name}"], decisions[f"by_{name}"] = (nodes[name][gone], winners[name])
    decisions["similarity"] = _direct(decisions["ref"], decisions["by"], edges)
    return decisions


def survivors_of(roots: npt.NDArray[np.int64], nodes: Records) -> npt.NDArray[np.int64]:
    """For each node the node that survives in its component."""
    order = np.lexsort((nodes["ref"], nodes["low"], nodes["high"], nodes["rank"], roots))
    best = np.empty(len(nodes), np.int64)
    firsts = np.concatenate(([True], np.diff(roots[order]) != 0))[: len(order)]
    best[roots[order][firsts]] = order[firsts]
    return best[roots]


def _direct(refs: References, by: References, edges: Records) -> npt.NDArray[np.float64]:
    """The similarity of each pair (refs, by) if it is among the edges, else not a number."""
    order = np.lexsort((edges["b"], edges["a"]))
    pairs = np.stack((edges["a"], edges["b"]), 1)[order].astype(">u8").view("S16")[:, 0]
    asked = np.stack((np.minimum(refs, by), np.maximum(refs, by)), 1).astype(">u8").view("S16")[:, 0]
    at = np.minimum(np.searchsorted(pairs, asked), max(len(pairs) - 1, 0))
    if not len(pairs):
        return np.full(len(refs), np.nan)
    return np.where(pairs[at] == asked, edges["similarity"][order][at], np.nan)


@dataclass(kw_only=True)
class ClusterDocuments:
    """Phase 8, one shard: joins the verified pairs of all parts and decides who survives.

    Memory: at most 200 bytes a verified pair.
    """

    plan: Plan

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Decides about all near duplicates."""
        plan = self.plan
        edges = gather([plan.work("edges", part) for part in plan.own_parts], EDGE, 0)
        found = decide(edges)
        write_exchange(plan.work("near", 0), found, parts_of(found["ref"]), len(plan.parts))
        return {**received("edges", edges), "sent/decisions": len(found)}
