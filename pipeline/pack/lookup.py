"""From a token back to its page, and from a page to its tokens."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.manifests import dataset_files
from pipeline.pack.encoded import shard_of
from pipeline.pack.format import SPLITS
from pipeline.pack.shards import ShardSet, has_split
from pipeline.records import PackedRow
from pipeline.tables import read_batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Where a document, or a piece of a long one, lies: positions `start` to below `end` of a row."""

    split: str
    source: str
    row: int
    start: int
    end: int
    offset: int


def find_document(folder: str, id: str) -> list[Piece]:
    """Every piece of document `id` in the shards in `folder`, in order of the document; none if it is not there.

    Reads one shard file of each split: the bits of the id say which.
    """
    doc_id = bytes.fromhex(id)
    found = []
    for split in SPLITS:
        if has_split(folder, split):
            shards = ShardSet.open(folder, split)
            found += list(_pieces(shards, shards.files[shard_of(doc_id, len(shards.files))], doc_id))
            shards.close()
    return sorted(found, key=lambda piece: piece.offset)


def _pieces(shards: ShardSet, file: str, doc_id: bytes) -> Iterator[Piece]:
    for first_row, block in shards.blocks(file):
        if doc_id not in block.doc_ids:
            continue
        for number in range(len(block.tokens)):
            row = block.row(number)
            for start, end, offset, other in zip(row.starts, row.ends, row.offsets, row.doc_ids, strict=True):
                if other == doc_id:
                    yield Piece(
                        split=shards.split,
                        source=block.source,
                        row=first_row + number,
                        start=start,
                        end=end,
                        offset=offset,
                    )


def urls_of(documents: str, ids: Iterable[str]) -> dict[str, str]:
    """The URLs of the documents with these ids, from the document dataset in folder `documents`."""
    wanted = set(ids)
    found: dict[str, str] = {}
    for path in dataset_files(documents):
        if len(found) == len(wanted):
            break
        for batch in read_batches(path, ["id", "url"], batch_rows=65536):
            for id, url in zip(batch.column("id").to_pylist(), batch.column("url").to_pylist(), strict=True):
                if id in wanted:
                    found[id] = url
    return found


def spans(row: PackedRow) -> Iterator[tuple[str, int, Sequence[int]]]:
    """The documents of a row: id, number of the first label, and the labels (tokens, then end-of-text)."""
    for doc_id, start, end, offset in zip(row.doc_ids, row.starts, row.ends, row.offsets, strict=True):
        yield doc_id.hex(), offset, row.tokens[start + 1 : end + 1]
