"""Judges a tokenizer by a count table: fertility in all, by language and by source. No Beam."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.count.loading import Table
from tokenizer.encoding import Encoder
from tokenizer.fertility import PieceTokens, by_key, probes, totals, uses, vocabulary_use


def fertility(encoder: Encoder, table: Table) -> dict[str, Any]:
    """The report on one tokenizer as a JSON value.

    `total`, `languages` and `sources` hold the figures of `tokenizer.fertility.totals`. A tokenizer
    with another known pattern cuts the pre-tokens of the table again; what it would not cut stays cut.
    """
    pieces = PieceTokens(encoder.value(), table.words, cut_by=table.info.pattern)
    sizes, lengths = pieces.sizes[table.word_of], np.diff(table.words.offsets)[table.word_of]
    groups = table.info.groups

    def figures(rows: Any, members: Sequence[int]) -> dict[str, float | int]:
        return totals(sizes[rows], lengths[rows], table.counts[rows], sum(groups[place].words for place in members))

    def split(keys: Sequence[str]) -> dict[str, dict[str, float | int]]:
        rows_of = by_key(keys, table.group_of)
        return {
            key: figures(rows, [place for place, each in enumerate(keys) if each == key])
            for key, rows in rows_of.items()
        }

    counts = np.zeros(len(table.words), dtype=table.counts.dtype)
    np.add.at(counts, table.word_of, table.counts)
    return {
        "tokenizer": encoder.hash,
        "vocab_size": encoder.vocab_size,
        "total": figures(np.ones(len(table.counts), dtype=bool), range(len(groups))),
        "languages": split([group.language for group in groups]),
        "sources": split([group.source for group in groups]),
        "vocabulary": vocabulary_use(encoder, uses(pieces, counts, encoder.vocab_size)),
        "probes": probes(encoder),
    }
