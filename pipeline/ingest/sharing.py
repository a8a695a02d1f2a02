"""How files are shared out to shards: large ones in ranges, small ones in groups."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow.parquet as pq

from pipeline import storage
from pipeline.codecs import compression_of, zstd_dictionary
from pipeline.ingest.config import IngestConfig
from pipeline.ingest.inputs import InputFile
from pipeline.ingest.parquet import UNREADABLE
from pipeline.ingest.starts import next_start
from pipeline.places import join
from pipeline.steps import Shard

_LISTED_ITEMS = 16


def shards(files: Sequence[InputFile], config: IngestConfig) -> Iterator[Shard]:
    """The shards that read `files`: ranges of large files, single files, and groups of small ones, in order."""
    for number, items in enumerate(_works(files, config)):
        yield Shard(name=f"part-{number:06d}", work=items)


def listed(shard: Shard, folder: str) -> Shard:
    """The same shard; if it reads many files, its work is the path of a list of them, written below `folder`.

    So neither the plan of an engine nor the memory of the driver grows with the number of files.
    """
    if len(shard.work) <= _LISTED_ITEMS:
        return shard
    path = join(folder, shard.name + ".json")
    storage.write_bytes(path, json.dumps(shard.work).encode())
    return Shard(name=shard.name, work=path)


def items_of(shard: Shard) -> list[dict[str, Any]]:
    """What a shard reads: files and ranges of files."""
    items: list[dict[str, Any]] = storage.read_json(shard.work) if isinstance(shard.work, str) else shard.work
    return items


def _works(files: Iterable[InputFile], config: IngestConfig) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    group_bytes = 0
    for file in files:
        ranges = _ranges(file, config)
        if len(ranges) > 1 or file.kind == "pages":  # a part of an index stands for many files
            if group:
                yield group
                group, group_bytes = [], 0
            yield from ([_item(file, start, end)] for start, end in ranges)
            continue
        if group and (group_bytes + file.num_bytes > config.group_bytes or len(group) == config.group_files):
            yield group
            group, group_bytes = [], 0
        group.append(_item(file, 0, None))
        group_bytes += file.num_bytes
    if group:
        yield group


def _item(file: InputFile, start: int, end: int | None) -> dict[str, Any]:
    return {"file": file.path, "kind": file.kind, "source": file.source, "name": file.name, "start": start, "end": end}


def _ranges(file: InputFile, config: IngestConfig) -> list[tuple[int, int | None]]:
    """The ranges of a file, the last one open: bytes, or row groups of Parquet."""
    if not config.split_bytes or file.num_bytes <= config.split_bytes or not storage.gives_parts(file.path):
        return [(0, None)]
    if file.kind == "parquet":
        return _row_group_ranges(file.path, config.split_bytes)
    if not _can_split(file):
        return [(0, None)]
    count = -(-file.num_bytes // config.split_bytes)
    edges = [file.num_bytes * number // count for number in range(count)]
    return list(zip(edges, [*edges[1:], None], strict=True))


def _can_split(file: InputFile) -> bool:
    """Whether records can be found from the middle of the file on: plain lines, archives with a member a record."""
    with storage.open_read(file.path) as raw:
        head = raw.read(64)
        compression = compression_of(head)
        if file.kind == "warc":
            dictionary = zstd_dictionary(raw) if compression == "zstd" else None
            return next_start(raw, compression, 1, None, dictionary) is not None
    return file.kind in ("jsonl", "text_line") and not compression


def _row_group_ranges(path: str, split_bytes: int) -> list[tuple[int, int | None]]:
    edges, held = [0], 0
    try:
        with storage.open_read(path) as raw, pq.ParquetFile(raw) as file:
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).total_byte_size
                if held and held + size > split_bytes:
                    edges.append(group)
                    held = 0
                held += size
    except UNREADABLE:  # the reader of the file will say so, in its place
        return [(0, None)]
    return list(zip(edges, [*edges[1:], None], strict=True))
