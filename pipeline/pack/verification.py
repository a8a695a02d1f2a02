"""Proves that a set of shards holds its documents: every checksum, every label once, every id and no other."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from pipeline.errors import CorpusmillError
from pipeline.manifests import dataset_files, read_manifest
from pipeline.pack.encoded import shard_of
from pipeline.pack.format import SPLITS, RowBlock
from pipeline.pack.shards import ShardSet, has_split
from pipeline.places import join
from pipeline.tables import read_batches

_SPAN = 1 << 128


@dataclass(slots=True)
class IdSum:
    """How many ids there are, and their sum as numbers: equal for equal collections, in any order."""

    num_ids: int = 0
    total: int = 0

    def add(self, ids: Iterable[bytes]) -> None:
        """Counts `ids`."""
        for doc_id in ids:
            self.num_ids += 1
            self.total = (self.total + int.from_bytes(doc_id, "big")) % _SPAN


def shard_problems(shards: str, documents: str = "") -> Iterator[str]:
    """One sentence for each thing that is wrong with the shards in folder `shards`.

    Given the folder of the `documents` that they were made from, the ids are compared as well. Reads
    everything once; memory holds the boundaries of one shard file.
    """
    counts, found = read_manifest(shards).counts, IdSum()
    for split in SPLITS:
        if has_split(shards, split):
            totals: Counter[str] = Counter()
            yield from _split_problems(ShardSet.open(shards, split), found, totals)
            for name, value in sorted(totals.items()):
                stated = counts.get(f"{split}/{name}", value)
                if stated != value:
                    yield f"{shards}: the rows of {split} hold {value} {name}, the manifest says {stated}"
    if documents:
        wanted = _ids_of(documents)
        if wanted.num_ids != found.num_ids:
            yield f"{shards}: {found.num_ids} documents are in the rows, {wanted.num_ids} in {documents}"
        elif wanted != found:
            yield f"{shards}: the documents in the rows are not those in {documents}"


def _split_problems(rows: ShardSet, found: IdSum, totals: Counter[str]) -> Iterator[str]:
    for number, file in enumerate(rows.files):
        path = join(rows.folder, file)
        pieces = _Pieces(end_of_text_id=rows.spec.end_of_text_id, sequence_length=rows.spec.sequence_length)
        try:
            for first_row, block in rows.blocks(file):
                yield from (f"{path}: {problem}" for problem in pieces.add(first_row, block))
                totals["rows"] += len(block.tokens)
        except CorpusmillError as error:
            yield str(error)
            continue
        yield from (f"{path}: {problem}" for problem in pieces.problems(number, len(rows.files)))
        found.add(pieces.of_document)
        totals["documents"] += len(pieces.of_document)
        totals["labels"] += pieces.num_labels


@dataclass(slots=True, kw_only=True)
class _Pieces:
    """The pieces in one file: of each, by document, offset, number of labels, first input and last label."""

    end_of_text_id: int
    sequence_length: int
    num_labels: int = 0
    of_document: dict[bytes, list[tuple[int, int, int, int]]] = field(default_factory=dict)

    def add(self, first_row: int, block: RowBlock) -> Iterator[str]:
        """Takes up a block; what is wrong within its rows."""
        row = np.repeat(np.arange(len(block.tokens)), np.diff(block.list_offsets))
        after = np.concatenate(([0], block.ends[:-1]))
        after[block.list_offsets[:-1][np.diff(block.list_offsets) > 0]] = 0  # the first document of each row
        wrong = (block.starts < after) | (block.ends <= block.starts) | (block.ends > self.sequence_length)
        for number in np.unique(row[wrong]).tolist():
            yield f"the documents of row {first_row + number} of source {block.source!r} do not lie side by side in it"
        if wrong.any():
            return
        self.num_labels += int((block.ends - block.starts).sum())
        first, last = (block.tokens[row, place].tolist() for place in (block.starts, block.ends))
        pieces = zip(block.offsets.tolist(), (block.ends - block.starts).tolist(), first, last, strict=True)
        for doc_id, piece in zip(block.doc_ids, pieces, strict=True):
            self.of_document.setdefault(doc_id, []).append(piece)

    def problems(self, file: int, num_files: int) -> Iterator[str]:
        """What is wrong with the documents of the file, once all of its blocks are taken up."""
        for doc_id, pieces in self.of_document.items():
            num_labels, token = 0, self.end_of_text_id
            for offset, labels, first, last in sorted(pieces):
                if (offset, first) != (num_labels, token):
                    yield f"the pieces of document {doc_id.hex()} do not make a whole"
                    break
                num_labels, token = num_labels + labels, last
            else:
                if token != self.end_of_text_id:
                    yield f"document {doc_id.hex()} does not end with end-of-text"
            if shard_of(doc_id, num_files) != file:
                yield f"document {doc_id.hex()} belongs into shard {shard_of(doc_id, num_files)}"


def _ids_of(documents: str) -> IdSum:
    found = IdSum()
    for path in dataset_files(documents):
        for batch in read_batches(path, ["id"], batch_rows=65536):
            found.add(map(bytes.fromhex, batch.column("id").to_pylist()))
    return found
