"""Similarity, connected components and survivors, against plain Python and scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.clusters import components, decide
from pipeline.dedup.components import directed, large_star, partition_nodes, small_star
from pipeline.dedup.verify import EDGE, jaccard_sorted

scipy_sparse = pytest.importorskip("scipy.sparse")


@settings(deadline=None)
@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_jaccard_of_sorted_arrays(first: set[int], second: set[int]) -> None:
    expected = len(first & second) / len(first | second) if first | second else 0.0
    arrays = [np.array(sorted(one), np.uint64) for one in (first, second)]
    assert jaccard_sorted(*arrays) == expected


def scipy_components(firsts: np.ndarray, seconds: np.ndarray, num_nodes: int) -> np.ndarray:
    """The least node of each node's component, by scipy."""
    graph = scipy_sparse.coo_matrix((np.ones(len(firsts)), (firsts, seconds)), shape=(num_nodes, num_nodes))
    _, labels = scipy_sparse.csgraph.connected_components(graph, directed=False)
    least = np.full(num_nodes, num_nodes)
    np.minimum.at(least, labels, np.arange(num_nodes))
    return np.asarray(least[labels])


def graphs(generator: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    """Shapes that break component algorithms, with their nodes in random order."""
    chain = np.arange(10_000)
    clique = np.array([(a, b) for a in range(60) for b in range(a)])
    shapes = {
        "chain of 10000": (chain[:-1], chain[1:], 10_000),
        "star": (np.zeros(999, int), np.arange(1, 1000), 1000),
        "clique": (clique[:, 0], clique[:, 1], 60),
        "nothing": (np.zeros(0, int), np.zeros(0, int), 3),
        "sparse": (*generator.integers(0, 5000, (2, 3000)), 5000),
        "around the threshold of one giant component": (*generator.integers(0, 5000, (2, 5000)), 5000),
    }
    permuted = {}
    for name, (firsts, seconds, size) in shapes.items():
        names = generator.permutation(size)
        permuted[name] = (names[firsts], names[seconds], size)
    return permuted


@pytest.mark.parametrize("name", list(graphs(np.random.default_rng(1))))
def test_components_equal_those_of_scipy(name: str) -> None:
    firsts, seconds, size = graphs(np.random.default_rng(1))[name]
    assert (components(firsts, seconds, size) == scipy_components(firsts, seconds, size)).all()


@pytest.mark.parametrize("name", list(graphs(np.random.default_rng(2))))
@pytest.mark.parametrize("num_partitions", [1, 7])
def test_star_rounds_equal_scipy(name: str, num_partitions: int) -> None:
    firsts, seconds, size = graphs(np.random.default_rng(2))[name]
    edges = np.stack((firsts, seconds), 1).astype(np.uint64)
    roots, rounds = star_rounds(edges[edges[:, 0] != edges[:, 1]], size, num_partitions)
    assert (roots == scipy_components(firsts, seconds, size)).all()
    assert rounds <= 2 * (2 + np.log2(size))


def star_rounds(edges: np.ndarray, size: int, num_partitions: int) -> tuple[np.ndarray, int]:
    """The root of each node by large-star and small-star rounds over partitions, and the number of rounds."""
    rounds, changed = 0, 1
    while changed:
        changed = 0
        for kind, star in (("large", large_star), ("small", small_star)):
            links = directed(edges, kind)  # type: ignore[arg-type]
            places = partition_nodes(links[:, 0], num_partitions)
            results = [star(links[places == place]) for place in range(num_partitions)]
            edges = np.concatenate([found for found, _ in results])
            changed += sum(count for _, count in results)
            rounds += 1
    roots = np.arange(size)
    roots[edges[:, 0].astype(int)] = edges[:, 1].astype(int)
    return roots, rounds


edges_strategy = st.lists(
    st.tuples(st.integers(0, 15), st.integers(0, 15)).filter(lambda e: e[0] < e[1]), max_size=30, unique=True
)


@settings(deadline=None)
@given(edges_strategy, st.lists(st.integers(0, 2), min_size=16, max_size=16), st.randoms())
def test_one_survivor_in_each_component(pairs: list[tuple[int, int]], ranks: list[int], random: object) -> None:
    random.shuffle(pairs)  # type: ignore[attr-defined]
    edges = np.zeros(len(pairs), EDGE)
    for place, (a, b) in enumerate(pairs):  # ids run against references, so that the order of ids shows
        edges[place] = (a, 0, 100 - a, ranks[a], b, 0, 100 - b, ranks[b], 0.5 + a / 100)
    decisions = decide(edges)

    firsts, seconds = np.array([p[0] for p in pairs], int), np.array([p[1] for p in pairs], int)
    roots = scipy_components(firsts, seconds, 16)
    touched = {node for pair in pairs for node in pair}
    best = {
        root: min((node for node in touched if roots[node] == root), key=lambda n: (ranks[n], 100 - n))
        for root in {int(roots[n]) for n in touched}
    }
    expected = {node: best[int(roots[node])] for node in touched if best[int(roots[node])] != node}
    assert dict(zip(decisions["ref"].tolist(), decisions["by"].tolist(), strict=True)) == expected
    for ref, by, low, by_low, similarity in decisions[["ref", "by", "id_low", "by_low", "similarity"]].tolist():
        pair = (min(ref, by), max(ref, by))
        assert (low, by_low) == (100 - ref, 100 - by)
        assert similarity == 0.5 + pair[0] / 100 if pair in pairs else np.isnan(similarity)
