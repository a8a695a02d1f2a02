"""Candidates compared by the exact Jaccard similarity of their shingle sets.

Only the texts of candidates are read again. Their shingle sets go to one file a part, from which the
pairs fetch what they need: 8 bytes a shingle on disk while the step runs, and in memory the sets of
one chunk of pairs. Of documents of earlier corpora there are only signatures: pairs with them are
compared by the share of equal values (standard error at most 0.5 / √permutations), and the rejection says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.atomic import AtomicFile
from pipeline.dedup.candidates import WANTED, gathered_pairs, owner
from pipeline.dedup.exchange import ExchangeWriter, Records, gather, received
from pipeline.dedup.index import read_signatures
from pipeline.dedup.joining import JoiningPairs
from pipeline.dedup.plan import (
    DUPLICATES_OUTPUT,
    Plan,
    References,
    check_places,
    id_numbers,
    id_text,
    id_texts,
    parts_of,
    rows_of,
)
from pipeline.dedup.shingles import Hashes, shingle_hashes
from pipeline.dedup.signatures import content_hashes
from pipeline.errors import DataError
from pipeline.places import join
from pipeline.steps import Shard
from pipeline.storage import open_read
from pipeline.tables import TableWriter, read_batches
from tokenizer.compiling import kept

if TYPE_CHECKING:
    from pipeline.stage import Outputs

# A candidate in the index of a file of sets: its signature (where earlier corpora take part) and its shingle
# set (of documents whose text is at hand) lie from `start` to `end`, as numbers of 8 bytes.
NODE = np.dtype(
    [("row", "<i8"), ("id_high", "<u8"), ("id_low", "<u8"), ("rank", "<f8"), ("start", "<i8"), ("end", "<i8")]
)
EDGE = np.dtype(
    [
        ("a", "<u8"), ("a_high", "<u8"), ("a_low", "<u8"), ("a_rank", "<f8"),
        ("b", "<u8"), ("b_high", "<u8"), ("b_low", "<u8"), ("b_rank", "<f8"),
        ("similarity", "<f8"),
    ]
)  # fmt: skip
EDGES = pa.schema([("id_a", pa.string()), ("id_b", pa.string()), ("similarity", pa.float64())])

_CHUNK_PAIRS = 8192
_CHUNK_BYTES = 64 << 20
_GAP_BYTES = 4096  # read along where a set lies close behind another


@kept(nogil=True)
def jaccard_sorted(first: Hashes, second: Hashes) -> float:
    """The Jaccard similarity of two sets, given as sorted arrays without repeats; 0 where both are empty."""
    i = j = common = 0
    while i < first.shape[0] and j < second.shape[0]:
        a, b = first[i], second[j]
        common += a == b
        i += a <= b
        j += b <= a
    union = first.shape[0] + second.shape[0] - common
    return common / union if union else 0.0


@kept(nogil=True)
def _agreement(first: Hashes, second: Hashes) -> int:
    """How many values of two signatures are equal, two values to a number."""
    equal = 0
    for i in range(first.shape[0]):
        difference = first[i] ^ second[i]
        equal += (difference & np.uint64(0xFFFFFFFF)) == 0
        equal += (difference >> np.uint64(32)) == 0
    return equal


@kept(nogil=True)
def _compare(
    sets: Hashes, bounds: npt.NDArray[np.int64], firsts: npt.NDArray[np.int64], seconds: npt.NDArray[np.int64],
    signature_words: int, num_permutations: int,
) -> npt.NDArray[np.float64]:  # fmt: skip
    out = np.empty(firsts.shape[0], np.float64)
    for i in range(firsts.shape[0]):
        a, b = (sets[bounds[firsts[i]] : bounds[firsts[i] + 1]], sets[bounds[seconds[i]] : bounds[seconds[i] + 1]])
        if signature_words > 0 and (a.shape[0] == signature_words or b.shape[0] == signature_words):
            equal = _agreement(a[:signature_words], b[:signature_words])
            out[i] = (equal - num_permutations % 2) / num_permutations  # two paddings are equal
        else:
            out[i] = jaccard_sorted(a[signature_words:], b[signature_words:])
    return out


class SetReader:
    """The shingle sets of the candidates of all parts, read by byte range."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.num_permutations = plan.config.banding.num_permutations
        self.signature_words = signature_words(plan)
        self._part = -1
        self._nodes = np.zeros(0, NODE)

    def nodes(self, refs: References) -> Records:
        """The index entries of documents, which must be sorted.

        Raises:
            DataError: one of them left no shingles: it was lost between two phases.
        """
        return np.concatenate([self._nodes_of_part(group) for group in by_part(refs)])

    def _nodes_of_part(self, refs: References) -> Records:
        """The index entries of documents of one part."""
        part = int(parts_of(refs[:1])[0])
        if part != self._part:
            self._part, self._nodes = part, read_index(self._plan.work("sets", part))
        rows = rows_of(refs)
        at = np.searchsorted(self._nodes["row"], rows)
        found = at < len(self._nodes)
        found[found] = self._nodes["row"][at[found]] == rows[found]
        if not found.all():
            lost = self._plan.where(part, int(rows[~found][0]))
            raise DataError(f"{lost} is a candidate but left no shingles: it was lost between phases")
        return self._nodes[at]

    def fetch(self, refs: References, nodes: Records) -> tuple[Hashes, npt.NDArray[np.int64]]:
        """The sets of documents, one behind the other, and the bounds of each. `nodes` are their index entries."""
        pieces: list[Hashes] = []
        for group in by_part(refs):
            entries = nodes[len(pieces) : len(pieces) + len(group)]
            with open_read(self._plan.work("sets", int(parts_of(group[:1])[0]))) as file:
                pieces += read_near(file, entries["start"], entries["end"])
        bounds = np.concatenate(([0], np.cumsum([len(piece) for piece in pieces]))).astype(np.int64)
        return np.concatenate(pieces), bounds


def by_part(refs: References) -> list[References]:
    """Sorted documents, those of each part together."""
    return np.split(refs, np.flatnonzero(np.diff(parts_of(refs))) + 1)


def read_near(file: IO[bytes], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Iterator[Hashes]:
    """The numbers in some ranges of a file, in order of place; ranges that lie close together are read at once."""
    firsts = np.flatnonzero(np.concatenate(([True], starts[1:] - ends[:-1] > _GAP_BYTES)))
    for first, end in zip(firsts, np.append(firsts[1:], len(starts)), strict=True):
        begin = int(starts[first])
        file.seek(begin)
        content = memoryview(file.read(int(ends[end - 1]) - begin))
        for low, high in zip((starts[first:end] - begin).tolist(), (ends[first:end] - begin).tolist(), strict=True):
            yield np.frombuffer(content[low:high], dtype="<u8")


def signature_words(plan: Plan) -> int:
    """Numbers of 8 bytes that a signature takes before a shingle set: none where all texts are at hand."""
    return -(-plan.config.banding.num_permutations // 2) if plan.num_earlier else 0


def read_index(path: str) -> Records:
    """The index of a file of sets, by row."""
    with open_read(path) as file:
        size = file.seek(0, 2)
        file.seek(size - 8)
        count = int.from_bytes(file.read(8), "little")
        file.seek(size - 8 - count * NODE.itemsize)
        return np.frombuffer(file.read(count * NODE.itemsize), dtype=NODE)


def similarities(
    pairs: References, reader: SetReader
) -> Iterator[tuple[References, Records, Records, npt.NDArray[np.float64]]]:
    """Chunks of `pairs` with the index entries of both members and their exact similarity."""
    stack = [pairs[at : at + _CHUNK_PAIRS] for at in range(0, len(pairs), _CHUNK_PAIRS)][::-1]
    while stack:
        chunk = stack.pop()
        refs = np.unique(chunk)
        nodes = reader.nodes(refs)
        if len(chunk) > 1 and (nodes["end"] - nodes["start"]).sum() > _CHUNK_BYTES:
            stack += [chunk[len(chunk) // 2 :], chunk[: len(chunk) // 2]]
            continue
        sets, bounds = reader.fetch(refs, nodes)
        firsts, seconds = (np.searchsorted(refs, chunk[:, 0]), np.searchsorted(refs, chunk[:, 1]))
        values = _compare(sets, bounds, firsts, seconds, reader.signature_words, reader.num_permutations)
        yield chunk, nodes[firsts], nodes[seconds], values


@dataclass(kw_only=True)
class GatherSets:
    """Phase 6, a part each: leaves the shingle sets of the candidates among its documents."""

    plan: Plan

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Works through one part; its file is read only where it holds candidates."""
        plan, part = self.plan, shard.work["index"]
        wanted = gather(plan.arrivals("wanted", plan.band_partitions), WANTED, part)
        check_places("wanted", parts_of(wanted["ref"]), part)
        rows = np.unique(rows_of(wanted["ref"]))
        nodes = np.zeros(len(rows), NODE)
        nodes["row"] = rows
        signatures = self._describe(part, nodes)
        with AtomicFile(plan.work("sets", part)) as file:
            if part < plan.num_earlier:
                for node, signature in zip(nodes, signatures, strict=True):
                    _write_set(file, node, signature, np.zeros(0, np.uint64))
            elif len(nodes):
                self._write_sets(part, nodes, signatures, file)
            file.write(nodes.tobytes())
            file.write(len(nodes).to_bytes(8, "little"))
        return {"candidates": len(rows), **received("wanted", wanted)}

    def _describe(self, part: int, nodes: Records) -> npt.NDArray[np.uint64]:
        """Takes ids and ranks from the signature table, and returns the signatures; keeps the content hash in
        `start` until there is a start."""
        plan, start = self.plan, 0
        signatures = np.zeros((len(nodes), 2 * signature_words(plan)), np.uint32)
        for rows in read_signatures(plan.signature_table(part)) if len(nodes) else ():
            low, high = np.searchsorted(nodes["row"], (start, start + len(rows)))
            at = nodes["row"][low:high] - start
            nodes["id_high"][low:high], nodes["id_low"][low:high] = rows.ids[at].T
            nodes["rank"][low:high] = rows.ranks[at] if part >= plan.num_earlier else -np.inf
            nodes["start"][low:high] = rows.contents[at].view(np.int64)
            if signatures.size:
                signatures[low:high, : rows.signatures.shape[1]] = rows.signatures[at]
            start += len(rows)
        if len(nodes) and nodes["row"][-1] >= start:
            raise DataError(f"{plan.where(part, int(nodes['row'][-1]))} is a candidate but has no signature")
        return signatures.view(np.uint64)

    def _write_sets(self, part: int, nodes: Records, signatures: npt.NDArray[np.uint64], file: AtomicFile) -> None:
        plan, start = self.plan, 0
        for batch in read_batches(plan.parts[part], ["id", "text"]):
            low, high = np.searchsorted(nodes["row"], (start, start + batch.num_rows))
            if low < high:
                here = nodes[low:high]
                taken = batch.take(pa.array(here["row"] - start))
                ids, contents = (np.stack((here["id_high"], here["id_low"]), 1), here["start"].view(np.uint64))
                check_same(plan, part, here["row"], taken, ids, contents)
                texts = taken.column("text").to_pylist()
                for node, signature, text in zip(here, signatures[low:high], texts, strict=True):
                    _write_set(file, node, signature, np.unique(shingle_hashes(text, plan.config.shingling)))
            start += batch.num_rows


def _write_set(file: AtomicFile, node: np.void, signature: Hashes, shingles: Hashes) -> None:
    node["start"] = file.tell()
    file.write(signature.tobytes())
    file.write(shingles.tobytes())
    node["end"] = file.tell()


def check_same(
    plan: Plan,
    part: int,
    rows: npt.NDArray[np.int64],
    batch: pa.RecordBatch,
    ids: npt.NDArray[np.uint64],
    contents: npt.NDArray[np.uint64],
) -> None:
    """Compares documents with what their signature rows say.

    Raises:
        DataError: one is another document, or its text is another.
    """
    found = id_numbers(batch.column("id").to_pylist(), plan.parts[part])
    wrong = (found != ids).any(axis=1) | (content_hashes(batch.column("text")) != contents)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{plan.where(part, int(rows[at]))} holds {id_text(*found[at])}, but its signature was computed from "
            f"{id_text(*ids[at])} with another position or text: the input changed or a record moved between phases"
        )


@dataclass(kw_only=True)
class VerifyPairs:
    """Phase 7, a part each: compares the pairs that fell to it, leaves those at or above the threshold.

    Not compared is what would change no cluster: see `joining`."""

    plan: Plan

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Compares the pairs of one part."""
        plan, part = self.plan, shard.work["index"]
        pairs, arrived = gathered_pairs(plan.arrivals("pairs", plan.band_partitions), part)
        check_places("pairs", owner(pairs, plan), part)
        path = join(plan.run, DUPLICATES_OUTPUT, "edges", plan.part_name(part) + ".parquet")
        joining, reader, candidates, compared = (
            JoiningPairs(pairs, plan.config.max_bucket),
            SetReader(plan),
            len(pairs),
            0,
        )
        del pairs
        with ExchangeWriter(plan.work("edges", part), EDGE, 1) as edges, TableWriter(path, EDGES) as table:
            for chunk, firsts, seconds, values in (found for some in joining for found in similarities(some, reader)):
                compared += len(chunk)
                alike = values >= plan.config.threshold
                joining.join(chunk[alike])
                records = _edges(chunk[alike], firsts[alike], seconds[alike], values[alike])
                edges.add(records, np.zeros(len(records), np.int64))
                table.append_batch(_edge_rows(records))
        outputs.add(DUPLICATES_OUTPUT, table.entry())
        return {
            **arrived,
            **edges.sent("edges"),
            "candidate_pairs": candidates,
            "compared_pairs": compared,
            "verified_pairs": edges.num_records,
        }


def _edges(pairs: References, firsts: Records, seconds: Records, values: npt.NDArray[np.float64]) -> Records:
    edges = np.zeros(len(pairs), EDGE)
    edges["similarity"] = values
    for place, (letter, nodes) in enumerate((("a", firsts), ("b", seconds))):
        edges[letter] = pairs[:, place]
        edges[f"{letter}_high"], edges[f"{letter}_low"] = (nodes["id_high"], nodes["id_low"])
        edges[f"{letter}_rank"] = nodes["rank"]
    return edges


def _edge_rows(edges: Records) -> pa.RecordBatch:
    """The edges as rows of `EDGES`: the smaller id first."""
    ids = [np.stack((edges[f"{letter}_high"], edges[f"{letter}_low"]), 1) for letter in "ab"]
    swapped = (ids[1][:, 0] < ids[0][:, 0]) | ((ids[1][:, 0] == ids[0][:, 0]) & (ids[1][:, 1] < ids[0][:, 1]))
    smaller, larger = np.where(swapped[:, None], ids[1], ids[0]), np.where(swapped[:, None], ids[0], ids[1])
    columns = [id_texts(smaller), id_texts(larger), pa.array(edges["similarity"])]
    return pa.RecordBatch.from_arrays(columns, schema=EDGES)
