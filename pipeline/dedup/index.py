"""Signature tables: a dataset that can be kept, deduplicated against, extended, and that documents can be taken out of.

One row a document, in the order of the documents' own file. `content` is a hash of the exact bytes of
the text: with the id it says which document a row speaks of. A row costs 48 bytes and four for each
permutation (about 500 bytes with 14 × 8). What the hashes mean is written into each file, and tables
that mean something else are refused.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dedup import alphabet, minhash, shingles
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.plan import id_numbers
from pipeline.errors import DataError, InputError
from pipeline.manifests import MANIFEST, Manifest, hash_of, read_manifest, write_manifest
from pipeline.places import join
from pipeline.steps import content_of
from pipeline.storage import exists, open_read
from pipeline.tables import TableWriter, read_batches

VERSIONS = {"alphabet": alphabet.VERSION, "shingles": shingles.VERSION, "signatures": minhash.VERSION}
CONTENT_BYTES = 8
_META = b"corpusmill.signatures"
_BATCH_ROWS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureRows:
    """Some rows of a signature table: ids and text hashes as two numbers each."""

    ids: npt.NDArray[np.uint64]
    contents: npt.NDArray[np.uint64]
    text_hashes: npt.NDArray[np.uint64]
    num_shingles: npt.NDArray[np.int32]
    ranks: npt.NDArray[np.float64]
    signatures: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.contents)

    def taken(self, which: npt.NDArray[Any]) -> "SignatureRows":
        """The rows that an index or a mask picks."""
        return SignatureRows(**{name: getattr(self, name)[which] for name in self.__dataclass_fields__})


def meaning(config: DedupConfig) -> dict[str, Any]:
    """What decides the values of a signature table: two tables compare when this is equal."""
    settings = {"permutations": config.banding.num_permutations, "seed": config.seed}
    shingling = {
        "words": config.shingle_words,
        "characters": config.shingle_characters,
        "fold_digits": config.fold_digits,
        "fold_accents": config.fold_accents,
    }
    return {**settings, **shingling, **VERSIONS}


def schema(config: DedupConfig) -> pa.Schema:
    """The schema of a signature table."""
    columns = {
        "id": pa.binary(16),
        "content": pa.binary(CONTENT_BYTES),
        "text_hash": pa.binary(16),
        "num_shingles": pa.int32(),
        "rank": pa.float64(),
        "signature": pa.binary(4 * config.banding.num_permutations),
    }
    fields = [pa.field(name, kind, nullable=False) for name, kind in columns.items()]
    return pa.schema(fields, metadata={_META: json.dumps(meaning(config), sort_keys=True).encode()})


class SignatureWriter(TableWriter):
    """Writes signature rows to one Parquet file, uncompressed."""

    def __init__(self, path: str, config: DedupConfig, *, like: pa.Schema | None = None) -> None:
        self._schema = like or schema(config)
        super().__init__(path, self._schema, compressed=False)

    def add(self, rows: SignatureRows) -> None:
        """Adds rows."""
        fixed = [_fixed(array.astype(">u8"), len(rows)) for array in (rows.ids, rows.contents, rows.text_hashes)]
        columns = [*fixed, pa.array(rows.num_shingles), pa.array(rows.ranks), _fixed(rows.signatures, len(rows))]
        if len(rows):
            self.append_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def added(self, found: Iterable[SignatureRows]) -> Iterator[SignatureRows]:
        """Adds rows as they pass."""
        for rows in found:
            self.add(rows)
            yield rows


def read_signatures(path: str) -> Iterator[SignatureRows]:
    """The rows of a signature table in order, some at a time."""
    for batch in read_batches(path, batch_rows=_BATCH_ROWS):
        width = batch.schema.field("signature").type.byte_width // 4
        yield SignatureRows(
            ids=_numbers(batch.column("id"), ">u8", 2).astype(np.uint64),
            contents=_numbers(batch.column("content"), ">u8", 1)[:, 0].astype(np.uint64),
            text_hashes=_numbers(batch.column("text_hash"), ">u8", 2).astype(np.uint64),
            num_shingles=batch.column("num_shingles").to_numpy(),
            ranks=batch.column("rank").to_numpy(),
            signatures=_numbers(batch.column("signature"), "<u4", width),
        )


def read_identities(path: str) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The ids and the content hashes of a whole signature table: 24 bytes a document."""
    ids, contents = [np.zeros((0, 2), np.uint64)], [np.zeros(0, np.uint64)]
    for batch in read_batches(path, ["id", "content"], _BATCH_ROWS):
        ids.append(_numbers(batch.column("id"), ">u8", 2).astype(np.uint64))
        contents.append(_numbers(batch.column("content"), ">u8", 1)[:, 0].astype(np.uint64))
    return np.concatenate(ids), np.concatenate(contents)


def _fixed(array: npt.NDArray[Any], rows: int) -> pa.FixedSizeBinaryArray:
    data = np.ascontiguousarray(array).tobytes()
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(len(data) // max(rows, 1)), rows, [None, pa.py_buffer(data)])


def _numbers(column: pa.FixedSizeBinaryArray, dtype: str, width: int) -> npt.NDArray[Any]:
    item = np.dtype(dtype).itemsize * width
    flat = np.frombuffer(column.buffers()[1], dtype=dtype, count=len(column) * width, offset=column.offset * item)
    return flat.reshape(-1, width)


def index_files(folders: Iterable[str], config: DedupConfig) -> tuple[list[str], int]:
    """The tables of kept signature datasets, in order, and how many documents they hold.

    Raises:
        InputError: a folder is no complete dataset.
        DataError: the signatures of one do not compare with those of `config`.
    """
    paths, num_documents = [], 0
    for folder in folders:
        manifest = read_manifest(folder)
        files = [join(folder, entry.path) for entry in manifest.files]
        for path in files[:1]:
            _check_meaning(path, config)
        paths += files
        num_documents += manifest.num_records
    return paths, num_documents


def _meaning_of(path: str) -> dict[str, Any]:
    found = (_schema_of(path).metadata or {}).get(_META)
    if found is None:
        raise DataError(f"{path} is no signature table")
    return dict(json.loads(found))


def _schema_of(path: str) -> pa.Schema:
    try:
        with open_read(path) as file:
            return pq.read_schema(file)
    except (pa.ArrowInvalid, pa.ArrowException) as error:
        raise DataError(f"{path} is not readable as Parquet: {error}") from None


def _check_meaning(path: str, config: DedupConfig) -> None:
    found = _meaning_of(path)
    for name, value in meaning(config).items():
        if found.get(name) != value:
            raise DataError(
                f"{path} holds signatures with {name} = {found.get(name)!r}, but these settings make {value!r}: "
                "they do not compare"
            )


def summary(folder: str) -> dict[str, Any]:
    """How many documents a kept index holds, and what its signatures mean.

    Raises:
        InputError: the folder is no complete dataset.
        DataError: its files are no signature tables.
    """
    manifest = read_manifest(folder)
    found = [_meaning_of(join(folder, entry.path)) for entry in manifest.files[:1]]
    num_bytes = sum(entry.num_bytes for entry in manifest.files)
    return {"documents": manifest.num_records, "files": len(manifest.files), "bytes": num_bytes, **dict(*found)}


def take_out(folder: str, ids: Collection[str], target: str) -> Manifest:
    """Writes the signature dataset of `folder` without the documents `ids` to the folder `target`.

    Raises:
        InputError: one of them is not in it, or `target` is the folder itself or holds a dataset already.
    """
    manifest, wanted = read_manifest(folder), sorted(set(ids))
    if target.rstrip("/") == folder.rstrip("/") or exists(join(target, MANIFEST)):
        raise InputError(f"{target} holds a dataset already; the smaller index needs a folder of its own")
    unwanted = _packed(id_numbers(wanted, "the list of ids"))
    paths = [join(folder, entry.path) for entry in manifest.files]
    found = [np.isin(unwanted, _packed(read_identities(path)[0])) for path in paths]
    missing = np.flatnonzero(~np.any(found, axis=0)) if found else np.arange(len(wanted))
    if len(missing):
        raise InputError(
            f"{folder} has no signature of {len(missing)} of the {len(wanted)} documents to take out, "
            f"such as {wanted[missing[0]]}"
        )
    entries = []
    for entry, path in zip(manifest.files, paths, strict=True):
        with SignatureWriter(join(target, entry.path), DedupConfig(), like=_schema_of(path)) as table:
            for rows in read_signatures(path):
                table.add(rows.taken(~np.isin(_packed(rows.ids), unwanted)))
        entries.append(table.entry().relative_to(target))
    smaller = replace(
        manifest,
        fingerprint=hash_of({"without": wanted, "of": content_of(manifest)}),
        files=tuple(entries),
        counts={**manifest.counts, "taken_out": manifest.num_records - sum(entry.num_records for entry in entries)},
    )
    write_manifest(target, smaller)
    return smaller


def _packed(ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.void]:
    """Ids as values of 16 bytes each, which compare as a whole."""
    return np.ascontiguousarray(ids.astype(">u8")).view("V16")[:, 0]
