"""Tokens and a layout become rows: the plain functions that the stage and the shell filter share."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.pack.config import PackConfig
from pipeline.pack.format import ROWS_PER_BATCH, RowBlock, ShardSpec
from pipeline.pack.packing import Layout, pack
from pipeline.records import PackedRow

Tokens = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenisedDocument:
    """One document as the packer sees it: `id` is the 16 raw bytes of its id, `tokens` lack end-of-text."""

    id: bytes
    source: str
    tokens: Tokens


def pack_blocks(documents: Iterable[TokenisedDocument], config: PackConfig, spec: ShardSpec) -> Iterator[RowBlock]:
    """All rows of `documents`, in blocks of one source: sources sorted by name, their documents by id.

    The order of `documents` does not matter.
    """
    keyed = [(_order(document, config.separate_sources), document) for document in documents]
    keyed.sort(key=itemgetter(0))
    for source, group in groupby(keyed, key=lambda pair: pair[0][0]):
        members = [document for _, document in group]
        layout = pack(
            np.array([len(document.tokens) + 1 for document in members]), config.sequence_length, config.method
        )
        yield from lay_rows(members, layout, spec, source)


def pack_documents(documents: Iterable[TokenisedDocument], config: PackConfig, spec: ShardSpec) -> Iterator[PackedRow]:
    """As `pack_blocks`, row by row."""
    for block in pack_blocks(documents, config, spec):
        for number in range(len(block.tokens)):
            yield block.row(number)


def lay_rows(
    documents: Sequence[TokenisedDocument], layout: Layout, spec: ShardSpec, source: str
) -> Iterator[RowBlock]:
    """The rows of `layout`, up to 256 a block."""
    pieces = np.searchsorted(layout.row, np.arange(0, layout.num_rows + ROWS_PER_BATCH, ROWS_PER_BATCH))
    for number, (first, last) in enumerate(zip(pieces[:-1].tolist(), pieces[1:].tolist(), strict=True)):
        first_row = number * ROWS_PER_BATCH
        num_rows = min(ROWS_PER_BATCH, layout.num_rows - first_row)
        block = np.full((num_rows, spec.sequence_length + 1), spec.end_of_text_id, dtype=spec.dtype)
        chosen = slice(first, last)
        where = zip(
            *(
                column[chosen].tolist()
                for column in (layout.document, layout.offset, layout.row, layout.start, layout.end)
            ),
            strict=True,
        )
        for document, offset, row, start, end in where:
            _copy_piece(block[row - first_row], documents[document].tokens, offset, start, end)
        yield RowBlock(
            tokens=block,
            list_offsets=np.searchsorted(layout.row[chosen], np.arange(first_row, first_row + num_rows + 1)).astype(
                np.int32
            ),
            starts=layout.start[chosen].astype(np.int32),
            ends=layout.end[chosen].astype(np.int32),
            offsets=layout.offset[chosen].astype(np.int32),
            doc_ids=[documents[document].id for document in layout.document[chosen].tolist()],
            source=source,
        )


def _copy_piece(row: Tokens, tokens: Tokens, offset: int, start: int, end: int) -> None:
    """Copies the labels `offset`, … of a document to the slots start+1 to end, and the first input before them.

    Every end-of-text is there already: rows begin full of it.
    """
    if offset:
        row[start : start + min(end - start, len(tokens) - offset) + 1] = tokens[offset - 1 : offset + end - start]
    else:
        piece = tokens[: end - start]
        row[start + 1 : start + 1 + len(piece)] = piece


def _order(document: TokenisedDocument, separate_sources: bool) -> tuple[str, bytes, int]:
    """Equal ids are equal documents in a run; elsewhere a checksum of their tokens decides."""
    return document.source if separate_sources else "", document.id, zlib.crc32(document.tokens.data)
