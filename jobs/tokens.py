"""Shows rows of RUN/shards as text, each document with the page that it came from.

Reads RUN/shards, RUN/tokenizer and, for the URLs, RUN/documents; writes to standard output.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from jobs.engine import Engine
from pipeline.errors import InputError
from pipeline.pack.encoder import TOKENIZER_FILE, open_encoder
from pipeline.pack.lookup import find_document, spans, urls_of
from pipeline.pack.shards import ShardSet
from pipeline.places import join
from pipeline.records import PackedRow

if TYPE_CHECKING:
    from jobs.config import RunConfig

Decode = Callable[[Sequence[int]], str]


def main(
    config: "RunConfig",
    engine: Engine | None = None,
    *,
    split: str = "train",
    source: str | None = None,
    row: int = 0,
    num_rows: int = 1,
    document: str | None = None,
) -> None:
    """Prints `num_rows` rows of `source` (the first by default) from `row` on, or all rows that hold `document`.

    Raises:
        InputError: there is no such split, source, row or document.
    """
    print("\n".join(show(config.run.folder, split=split, source=source, row=row, num_rows=num_rows, document=document)))


def show(
    run: str,
    *,
    split: str = "train",
    source: str | None = None,
    row: int = 0,
    num_rows: int = 1,
    document: str | None = None,
) -> Iterator[str]:
    """The lines that `main` prints."""
    folder = join(run, "shards")
    if document is not None:
        places = [(piece.split, piece.source, piece.row) for piece in find_document(folder, _checked_id(document))]
        if not places:
            raise InputError(f"no shard in {folder} holds document {document}")
    else:
        shards = ShardSet.open(folder, split)
        name = shards.sources[0] if source is None else source
        _check_rows(shards, name, row, num_rows)
        places = [(split, name, number) for number in range(row, row + num_rows)]
    yield from _lines(run, places)


def _lines(run: str, places: list[tuple[str, str, int]]) -> Iterator[str]:
    folder = join(run, "shards")
    encoder = open_encoder(join(run, "tokenizer", TOKENIZER_FILE))
    sets = {split: ShardSet.open(folder, split) for split, _, _ in places}
    rows = [(place, sets[place[0]].row(place[1], place[2])) for place in dict.fromkeys(places)]
    urls = urls_of(join(run, "documents"), (doc_id.hex() for _, row in rows for doc_id in row.doc_ids))
    for (split, source, number), row in rows:
        padding = len(row.tokens) - 1 - sum(end - start for start, end in zip(row.starts, row.ends, strict=True))
        name = f"{split} / {source or 'all sources'} / row {number}"
        yield f"{name}: {len(row.doc_ids)} documents, {padding} positions of padding"
        yield from _documents(row, urls, encoder.decode, encoder.end_of_text_id)


def _documents(row: PackedRow, urls: dict[str, str], decode: Decode, end_of_text_id: int) -> Iterator[str]:
    for (doc_id, offset, labels), start, end in zip(spans(row), row.starts, row.ends, strict=True):
        begins = "from its beginning" if not offset else f"from its token {offset}"
        ends = "to its end" if labels[-1] == end_of_text_id else "cut"
        yield f"--- [{start}, {end}) document {doc_id} {urls.get(doc_id, '(no URL)')}: {begins}, {ends}"
        yield decode([label for label in labels if label != end_of_text_id])


def _check_rows(shards: ShardSet, source: str, row: int, num_rows: int) -> None:
    if num_rows < 1:
        raise InputError(f"{num_rows} rows are asked for; allowed is 1 or more")
    available = shards.num_rows(source)
    if not 0 <= row < row + num_rows <= available:
        wanted = f"rows {row} to {row + num_rows - 1}"
        raise InputError(f"split {shards.split!r} has rows 0 to {available - 1} of source {source!r}, not {wanted}")


def _checked_id(document: str) -> str:
    if len(document) != 32 or not set(document) <= set("0123456789abcdef"):
        raise InputError(f"{document!r} is not a document id: that is 32 hexadecimal digits")
    return document
