"""Documents → shards of training rows, in two passes over shards of work, without shuffling texts.

1. `EncodePart`: one part of the corpus → its tokens, grouped by bucket of document id (`encoded.py`).
2. `PackShard`: a range of buckets of every part → one shard file, and the entries of its batches.

Guarantees: a shard depends on the documents in it and the settings, never on the arrangement of parts,
on workers or on an engine; every label of every document is in exactly one row (see `packing.py`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from pipeline import steps
from pipeline.errors import DataError
from pipeline.manifests import dataset_files
from pipeline.pack.config import PackConfig
from pipeline.pack.encoded import NUM_BUCKETS, EncodedDocument, buckets_of, encoded_entry, read_encoded, write_encoded
from pipeline.pack.encoder import open_encoder
from pipeline.pack.format import ID_BYTES, SHARDS, SPLITS, BatchEntry, RowBlock, ShardSpec
from pipeline.pack.rows import TokenisedDocument, pack_blocks
from pipeline.pack.shard_writer import ShardWriter, write_index
from pipeline.pack.splits import HeldOut
from pipeline.places import join
from pipeline.stage import Outputs
from pipeline.steps import Shard, Step
from pipeline.storage import list_files, read_json, write_json
from pipeline.tables import read_batches
from tokenizer.encoding import Encoder

ENCODED = "encoded"
FILE_TOKENS = 1 << 25  # what encoding holds in memory at most, about
_COLUMNS = ["id", "text", "language", "source"]
_ENTRIES = ".entries.json"


@dataclass(kw_only=True)
class EncodePart:
    """Encodes one part of the corpus; `Shard.work` is the path of its Parquet file."""

    tokenizer: str
    held_out: HeldOut
    backend: str = "auto"
    _encoder: Encoder | None = field(default=None, repr=False)
    _has_told: bool = field(default=False, repr=False)

    def setup(self) -> None:
        """Loads the tokenizer."""
        self._encoder = open_encoder(self.tokenizer, self.backend)

    def process(self, shard: Shard, outputs: Outputs) -> Mapping[str, int]:
        """Writes the tokens of the part, in several files if they are many; counts documents and labels by split."""
        assert self._encoder is not None
        counts: Counter[str] = Counter(read=0)
        documents = encode_documents(_read(shard.work), self._encoder, self.held_out)
        for number, group in enumerate(_groups(documents, FILE_TOKENS)):
            with outputs.file(ENCODED, f".{number:04d}.tokens") as file:
                write_encoded(file, group, pa.from_numpy_dtype(self._encoder.dtype))
            outputs.add(ENCODED, encoded_entry(file, group))
            counts["read"] += len(group)
            for document in group:
                counts[f"{document.split}/labels"] += len(document.tokens) + 1
        self._tell(outputs)
        return counts

    def _tell(self, outputs: Outputs) -> None:
        """Tells the log once which library this worker chose, as `jobs.pack` reads it."""
        assert self._encoder is not None
        choice = self._encoder.choice
        if choice.speeds and not self._has_told:
            told = {"backend": choice.backend.name, "speeds": dict(choice.speeds), "refused": dict(choice.refused)}
            outputs.remark(told)
            self._has_told = True


def encode_documents(
    rows: Iterable[list[dict[str, Any]]], encoder: Encoder, held_out: HeldOut
) -> Iterator[EncodedDocument]:
    """The encoded documents of `rows` (lists of documents as dictionaries), in their order."""
    for batch in rows:
        for row, tokens in zip(batch, encoder.encode_batch([row["text"] for row in batch]), strict=True):
            yield EncodedDocument(
                id=_raw_id(row["id"]),
                split=held_out.split_of(row["id"]),
                source=row["source"] or "",
                language=row["language"] or "",
                text_bytes=len(row["text"].encode("utf-8", "surrogatepass")),
                tokens=tokens,
            )


def _groups(documents: Iterable[EncodedDocument], num_tokens: int) -> Iterator[list[EncodedDocument]]:
    """The documents in lists of about `num_tokens` tokens, which is what memory has to hold."""
    held: list[EncodedDocument] = []
    size = 0
    for document in documents:
        held.append(document)
        size += len(document.tokens)
        if size >= num_tokens:
            yield held
            held, size = [], 0
    if held:
        yield held


@dataclass(kw_only=True)
class PackShard:
    """Packs one shard; `Shard.work` is its split, its number and the number of shards of that split."""

    encoded: str
    config: PackConfig
    spec: ShardSpec

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: Outputs) -> Mapping[str, int]:
        """Writes the shard and, beside it, the entries of its batches; counts what went in and what came out."""
        split, number, num_shards = shard.work
        counts: Counter[str] = Counter()
        documents = list(self._documents(split, buckets_of(split, number, num_shards), counts))
        with ShardWriter(outputs.path(SHARDS, ".arrow"), self.spec) as writer:
            for block in pack_blocks(documents, self.config, self.spec):
                writer.append(block)
                _count_block(counts, split, block)
        write_json(outputs.path(SHARDS, _ENTRIES), [asdict(entry) for entry in writer.entries])
        outputs.add(SHARDS, writer.entry())
        if counts[f"{split}/labels"] != counts[f"{split}/packed_labels"]:
            raise DataError(
                f"shard {shard.name}: {counts[f'{split}/labels']} labels went in, "
                f"{counts[f'{split}/packed_labels']} came out"
            )
        return counts

    def _documents(self, split: str, buckets: tuple[int, int], counts: Counter[str]) -> Iterator[TokenisedDocument]:
        for path in dataset_files(self.encoded):
            for batch in read_encoded(path, buckets, self.spec.token_type):
                columns = [batch.column(name).to_pylist() for name in ("id", "source", "language", "text_bytes")]
                tokens = batch.column("tokens")
                ends, values = tokens.offsets.to_pylist(), tokens.values.to_numpy()
                for row, (id, source, language, text_bytes) in enumerate(zip(*columns, strict=True)):
                    _count_document(counts, split, source, language, text_bytes, ends[row + 1] - ends[row])
                    yield TokenisedDocument(id=id, source=source, tokens=values[ends[row] : ends[row + 1]])


def _count_document(
    counts: Counter[str], split: str, source: str, language: str, text_bytes: int, num_tokens: int
) -> None:
    counts.update(("read", "kept"))
    counts[f"{split}/tokens"] += num_tokens
    for part in ("", f"/source/{source}", f"/language/{language}"):
        counts[f"{split}/documents{part}"] += 1
        counts[f"{split}/labels{part}"] += num_tokens + 1
        counts[f"{split}/text_bytes{part}"] += text_bytes


def _count_block(counts: Counter[str], split: str, block: RowBlock) -> None:
    rows, width = block.tokens.shape
    labels = int((block.ends - block.starts).sum())
    counts[f"{split}/rows"] += rows
    counts[f"{split}/positions"] += rows * (width - 1)
    counts[f"{split}/padding"] += rows * (width - 1) - labels
    counts[f"{split}/packed_labels"] += labels
    counts[f"{split}/cuts"] += int((block.offsets > 0).sum())


def plan_shards(labels: Mapping[str, int], shard_tokens: int) -> list[Shard]:
    """The shards of every split that has labels: their number follows from the number of labels alone."""
    shards = []
    for split in SPLITS:
        total = labels.get(f"{split}/labels", 0)
        num_shards = min(-(-total // shard_tokens), NUM_BUCKETS)
        shards += [
            Shard(name=f"{split}/{number:05d}-of-{num_shards:05d}", work=[split, number, num_shards])
            for number in range(num_shards)
        ]
    return shards


def write_indexes(step: Step, spec: ShardSpec) -> None:
    """Writes the batch index of every split from what the shards left, and its receipt. Runs once, on the driver."""
    folder, entries = step.folder(SHARDS), []
    for split in SPLITS:
        files = {}
        for path in list_files(join(folder, split)):
            if path.endswith(_ENTRIES):
                shard = path[len(folder) + 1 :].removesuffix(_ENTRIES) + ".arrow"
                files[shard] = [BatchEntry(**entry) for entry in read_json(path)]
        if files:
            entries.append(write_index(folder, split, spec, files))
    steps.write_receipt(step.attempt_folder, steps.Receipt(shard="index", files={SHARDS: tuple(entries)}))


def _raw_id(doc_id: str) -> bytes:
    try:
        raw = bytes.fromhex(doc_id)
    except ValueError:
        raw = b""
    if len(raw) != ID_BYTES:
        raise DataError(f"document {doc_id!r} has an id that is not {2 * ID_BYTES} hexadecimal digits")
    return raw


def _read(path: str) -> Iterator[list[dict[str, Any]]]:
    for batch in read_batches(path, _COLUMNS):
        yield batch.to_pylist()
