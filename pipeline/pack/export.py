"""Shards in the formats of other trainers: Megatron's .bin/.idx, MosaicML's MDS, flat .npy.

Trainers that pack for themselves (Megatron; whatever reads a flat array) get whole documents, each
followed by end-of-text; MDS gets our rows. One dataset a source, so that those trainers can weigh them.
"""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from pipeline.atomic import AtomicFile, FileEntry
from pipeline.errors import DataError
from pipeline.pack.shards import RowBlock, ShardSet
from pipeline.places import join
from pipeline.storage import write_json

Format = Literal["megatron", "mds", "npy"]
Tokens = npt.NDArray[np.unsignedinteger[Any]]

_MEGATRON_MAGIC = b"MMIDIDX\x00\x00"
_MEGATRON_TYPES = {2: ("<u2", 8), 4: ("<i4", 4)}  # bytes a token here -> (type in the file, Megatron's code for it)
_MDS_SHARD_BYTES = 1 << 26


def export_source(shards: ShardSet, source: str, folder: str, format: Format) -> list[FileEntry]:
    """Writes the rows or documents of one source to `folder`; returns the files, whose names begin with the source."""
    writers: Mapping[str, Callable[[ShardSet, str, str], list[FileEntry]]] = {
        "megatron": _export_megatron,
        "mds": _export_mds,
        "npy": _export_npy,
    }
    return writers[format](shards, source, join(folder, file_name(source)))


def file_name(source: str) -> str:
    """A name for files of `source` that any file system takes."""
    return quote(source, safe="") or "all"


def documents_of(shards: ShardSet, source: str) -> Iterator[tuple[bytes, Tokens]]:
    """The documents of a source: id, and tokens with the end-of-text behind them; by file, then by id.

    Raises:
        DataError: pieces of a document are missing, or two documents have one id.
    """
    for file in shards.files:
        pieces = [piece for _, block in shards.blocks(file) if block.source == source for piece in _pieces(block)]
        pieces.sort(key=lambda piece: piece[:2])
        for doc_id, group in groupby(pieces, key=lambda piece: piece[0]):
            members = list(group)
            expected = 0
            for _, offset, labels in members:
                if offset != expected:
                    raise DataError(f"{join(shards.folder, file)}: document {doc_id.hex()} is not there exactly once")
                expected += len(labels)
            yield doc_id, np.concatenate([labels for _, _, labels in members])


def _pieces(block: RowBlock) -> Iterator[tuple[bytes, int, Tokens]]:
    """The pieces of documents in a block: id, number of the first label, labels."""
    rows = np.repeat(np.arange(len(block.tokens)), np.diff(block.list_offsets)).tolist()
    places = zip(rows, block.starts.tolist(), block.ends.tolist(), block.offsets.tolist(), strict=True)
    for number, (row, start, end, offset) in enumerate(places):
        yield block.doc_ids[number], offset, block.tokens[row, start + 1 : end + 1]


def _export_megatron(shards: ShardSet, source: str, prefix: str) -> list[FileEntry]:
    """`prefix.bin` and `prefix.idx`, as `megatron.core.datasets.indexed_dataset.IndexedDataset` reads them."""
    kind, code = _MEGATRON_TYPES[shards.spec.dtype.itemsize]
    lengths = []
    with AtomicFile(f"{prefix}.bin") as data:
        for _, tokens in documents_of(shards, source):
            data.write(tokens.astype(kind).tobytes())
            lengths.append(len(tokens))
    sizes = np.array(lengths, dtype="<i4")
    pointers = (np.cumsum(sizes, dtype="<i8") - sizes) * shards.spec.dtype.itemsize
    with AtomicFile(f"{prefix}.idx") as index:
        index.write(_MEGATRON_MAGIC + struct.pack("<QBQQ", 1, code, len(sizes), len(sizes) + 1))
        index.write(sizes.tobytes())
        index.write(pointers.astype("<i8").tobytes())
        index.write(np.arange(len(sizes) + 1, dtype="<i8").tobytes())
    return [file.entry(num_records=len(sizes)) for file in (data, index)]


def _export_npy(shards: ShardSet, source: str, prefix: str) -> list[FileEntry]:
    """`prefix.npy`: all documents end to end in one flat array, as `numpy.load(mmap_mode="r")` reads it."""
    blocks = (block for _, block in shards.blocks() if block.source == source)
    num_tokens = sum(int((block.ends - block.starts).sum()) for block in blocks)
    with AtomicFile(f"{prefix}.npy") as file:
        header = {"descr": shards.spec.dtype.str, "fortran_order": False, "shape": (num_tokens,)}
        np.lib.format.write_array_header_1_0(file, header)
        for _, tokens in documents_of(shards, source):
            file.write(tokens.tobytes())
    return [file.entry(num_records=num_tokens)]


def _export_mds(shards: ShardSet, source: str, prefix: str) -> list[FileEntry]:
    """A folder `prefix` as `streaming.StreamingDataset` reads it: a sample a row, `tokens`, `starts` and `ends`."""
    encodings = {
        "ends": "ndarray:int32",
        "starts": "ndarray:int32",
        "tokens": f"ndarray:{shards.spec.dtype.name}:{shards.spec.sequence_length + 1}",
    }
    sizes = [None, None, (shards.spec.sequence_length + 1) * shards.spec.dtype.itemsize]
    columns = {"column_encodings": list(encodings.values()), "column_names": list(encodings), "column_sizes": sizes}
    config = {
        "compression": None,
        "format": "mds",
        "hashes": [],
        "size_limit": _MDS_SHARD_BYTES,
        "version": 2,
        **columns,
    }
    entries, infos = [], []
    for number, samples in enumerate(_in_shards(_mds_samples(shards, source))):
        name = f"shard.{number:05d}.mds"
        entries.append(_write_mds_shard(join(prefix, name), samples, json.dumps(config, sort_keys=True).encode()))
        raw = {"basename": name, "bytes": entries[-1].num_bytes, "hashes": {}}
        infos.append({**config, "raw_data": raw, "samples": len(samples), "zip_data": None})
    return [*entries, write_json(join(prefix, "index.json"), {"shards": infos, "version": 2})]


def _write_mds_shard(path: str, samples: list[bytes], config: bytes) -> FileEntry:
    offsets = np.cumsum([0, *map(len, samples)]) + 4 + 4 * (len(samples) + 1) + len(config)
    with AtomicFile(path) as file:
        file.write(struct.pack("<I", len(samples)) + offsets.astype("<u4").tobytes() + config)
        file.write(b"".join(samples))
    return file.entry(num_records=len(samples))


def _mds_samples(shards: ShardSet, source: str) -> Iterator[bytes]:
    for _, block in shards.blocks():
        if block.source == source:
            for row in range(len(block.tokens)):
                chosen = slice(int(block.list_offsets[row]), int(block.list_offsets[row + 1]))
                ends, starts = _mds_array(block.ends[chosen]), _mds_array(block.starts[chosen])
                yield struct.pack("<II", len(ends), len(starts)) + ends + starts + block.tokens[row].tobytes()


def _mds_array(values: npt.NDArray[np.int32]) -> bytes:
    """A one-dimensional array of known type and open shape: dimensions and width of the shape, shape, values.

    The first byte is 4 x dimensions + log2 of the bytes of a shape number; ours has 1 dimension and 4 bytes.
    """
    return struct.pack("<BI", (1 << 2) | 2, len(values)) + values.astype("<i4").tobytes()


def _in_shards(samples: Iterator[bytes]) -> Iterator[list[bytes]]:
    """The samples in lists of up to 64 MiB, at least one list."""
    held: list[bytes] = []
    size = 0
    for sample in samples:
        if held and size + len(sample) > _MDS_SHARD_BYTES:
            yield held
            held, size = [], 0
        held.append(sample)
        size += len(sample) + 4
    yield held
