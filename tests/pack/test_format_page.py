"""Readers written from `docs/shards.md` alone: `PageReader` uses Arrow, JSON and hashes, `PageOrder` whole numbers.

If it needs a change, so does the page.
"""

import hashlib
import json
import math
import struct
import zlib
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.engine import Engine
from jobs.pack import pack_run
from model.order import SampleOrder
from tests.pack.test_stage import CONFIG, make_documents, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("run"), [make_documents(150)])
    pack_run(folder, CONFIG, Engine())
    return Path(folder)


class PageReader:
    """One split of a folder of shards, as the page describes it."""

    def __init__(self, folder: Path, split: str) -> None:
        self.folder, self.split = folder, split
        self.manifest = json.loads((folder / "manifest.json").read_bytes())
        index = pa.ipc.open_file(pa.memory_map(str(folder / f"{split}.batches.arrow"))).read_all()
        self.batches = index.to_pylist()
        names = json.loads(index.schema.metadata[b"corpusmill.files"])
        self.files, self.sources = names["files"], names["sources"]
        self.about = json.loads(index.schema.metadata[b"corpusmill.shards"])

    def row(self, source: str, number: int) -> dict[str, Any]:
        """Row `number` of `source`: a search in `first_row`, a range of bytes, a place in the batch."""
        mine = [batch for batch in self.batches if self.sources[batch["source"]] == source]
        batch = max((b for b in mine if b["first_row"] <= number), key=lambda b: b["first_row"])
        path = self.folder / self.files[batch["file"]]
        data = path.read_bytes()[batch["offset"] : batch["offset"] + batch["num_bytes"]]
        assert zlib.crc32(data) == batch["crc32"]
        schema = pa.ipc.open_file(pa.memory_map(str(path))).schema
        rows = pa.ipc.read_record_batch(pa.ipc.read_message(pa.py_buffer(data)), schema)
        assert rows.num_rows == batch["num_rows"]
        return rows.slice(number - batch["first_row"], 1).to_pylist()[0]

    def rows(self) -> list[dict[str, Any]]:
        """All rows, file by file."""
        return [
            row
            for file in self.files
            for row in pa.ipc.open_file(pa.memory_map(str(self.folder / file))).read_all().to_pylist()
        ]

    def documents(self) -> dict[str, list[int]]:
        """The tokens of every document, pieces put together, end-of-text taken off."""
        pieces: dict[str, list[tuple[int, list[int]]]] = {}
        for row in self.rows():
            for start, end, offset, doc_id in zip(
                row["starts"], row["ends"], row["offsets"], row["doc_ids"], strict=True
            ):
                labels = row["tokens"][start + 1 : end + 1]
                pieces.setdefault(doc_id.hex(), []).append((offset, labels))
        found = {}
        for doc_id, parts in pieces.items():
            labels = []
            for offset, part in sorted(parts):
                assert offset == len(labels)
                labels += part
            assert labels.pop() == self.about["end_of_text_id"]
            found[doc_id] = labels
        return found


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_every_document_is_read_back(run: Path, split: str) -> None:
    """The tokenizer of these tests has one token a byte, so the text says what must come out."""
    reader = PageReader(run / "shards", split)
    spelled = json.loads((run / "tokenizer/tokenizer.json").read_bytes())["model"]["vocab"]
    alphabet = {number: token for token, number in spelled.items()}
    counted = reader.manifest["counts"]
    documents = reader.documents()
    texts = {document.id: document.text for document in make_documents(150)}
    assert len(documents) == counted[f"{split}/documents"]
    for doc_id, tokens in documents.items():
        assert _from_gpt2_alphabet("".join(alphabet[token] for token in tokens)) == texts[doc_id].encode()
    assert sum(len(tokens) for tokens in documents.values()) == counted[f"{split}/tokens"]
    assert sum(len(texts[doc_id].encode()) for doc_id in documents) == counted[f"{split}/text_bytes"]


def _from_gpt2_alphabet(spelled: str) -> bytes:
    """Byte-level BPE spells bytes that are no visible characters by characters from U+0100 on, in order."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    back = {chr(byte): byte for byte in visible} | {chr(256 + i): byte for i, byte in enumerate(hidden)}
    return bytes(back[character] for character in spelled)


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_rows_are_where_the_index_says(run: Path, split: str) -> None:
    reader = PageReader(run / "shards", split)
    assert reader.about["format"] == 1
    length = reader.about["sequence_length"]
    of_source: Counter[str] = Counter()
    for row in reader.rows():
        assert reader.row(row["source"], of_source[row["source"]]) == row
        of_source[row["source"]] += 1
        assert len(row["tokens"]) == length + 1
        borders = [0, *(border for pair in zip(row["starts"], row["ends"], strict=True) for border in pair), length]
        assert borders == sorted(borders)
    counts = reader.manifest["counts"]
    assert sum(of_source.values()) == counts[f"{split}/rows"]
    assert counts[f"{split}/positions"] == counts[f"{split}/rows"] * length
    assert counts[f"{split}/positions"] == counts[f"{split}/labels"] + counts[f"{split}/padding"]


def test_every_file_has_the_checksum_of_the_manifest(run: Path) -> None:
    for entry in PageReader(run / "shards", "train").manifest["files"]:
        data = (run / "shards" / entry["path"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry["sha256"], entry["num_bytes"])


def test_the_split_and_the_shard_of_a_document_follow_from_its_id(run: Path) -> None:
    settings = PageReader(run / "shards", "train").manifest["settings"]["pack"]
    for split in ("train", "heldout"):
        reader = PageReader(run / "shards", split)
        for number, file in enumerate(reader.files):
            path = str(run / "shards" / file)
            for row in pa.ipc.open_file(pa.memory_map(path)).read_all().to_pylist():
                for doc_id in row["doc_ids"]:
                    bucket = int(doc_id.hex()[:3], 16)
                    first, last = (4096 * edge // len(reader.files) for edge in (number, number + 1))
                    assert first <= bucket < last
                    name = f"heldout {settings['heldout_seed']} {doc_id.hex()}"
                    drawn = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
                    assert (drawn < int(settings["heldout_share"] * 2**64)) == (split == "heldout")


class PageOrder:
    """The row of a sample as the last section of the page says, in plain whole numbers."""

    def __init__(self, rows: dict[str, int], seed: int, window: int | None = None) -> None:
        self.sources = sorted(rows)
        self.rows, self.seed, self.window = rows, seed, window

    def row(self, sample: int, schedule: list[dict[str, Any]]) -> tuple[int, int]:
        """The source, by its number, and the row, by the phases of a state."""
        phase = [phase for phase in schedule if phase["start"] <= sample][-1]
        divisor = math.gcd(*phase["weights"])
        weights = [weight // divisor for weight in phase["weights"]]
        k, a, b = sample - phase["start"], 0, len(self.sources)
        while b - a > 1:
            m = (a + b) // 2
            w, whole = sum(weights[a:m]), sum(weights[a:b])
            before, after = (0, 0) if not whole else (k * w // whole, (k + 1) * w // whole)
            if after > before:
                k, b = before, m
            else:
                k, a = k - before, m
        name = self.sources[a]
        epoch, i = divmod(k + phase["drawn"][a], self.rows[name])
        return a, self.shuffled(i, self.rows[name], (self.seed, name, epoch))

    def shuffled(self, i: int, n: int, name: tuple[Any, ...]) -> int:
        if self.window is None or self.window >= n:
            return self.permute(i, n, self.key("rows", *name))
        v, rest = divmod(i, self.window)
        width = min(self.window, n - v * self.window)
        i = v * self.window + self.permute(rest, width, self.key("window", *name, v))
        if i // 256 < n // 256:
            return 256 * self.permute(i // 256, n // 256, self.key("blocks", *name)) + i % 256
        return i

    @staticmethod
    def key(*parts: Any) -> int:
        text = "\0".join(map(str, parts)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")

    @staticmethod
    def permute(i: int, n: int, key: int) -> int:
        words = struct.unpack("<6Q", hashlib.blake2b(struct.pack("<Q", key), digest_size=48).digest())
        p = 1
        while p * p < n:
            p += 1
        q = -(-n // p)
        while True:
            left, right = divmod(i, q)
            for number in (0, 2, 4):
                left = (left + mix(right ^ words[number]) % p) % p
                right = (right + mix(left ^ words[number + 1]) % q) % q
            i = left * q + right
            if i < n:
                return i


def mix(x: int) -> int:
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return x ^ x >> 31


@pytest.mark.parametrize("window", [None, 256, 512])
@pytest.mark.parametrize("weights", [None, {"b": 0.7, "d": 0.1, "e": 0.25}])
def test_samples_come_in_the_order_of_the_page(window: int | None, weights: dict[str, float] | None) -> None:
    """The loader is asked for its state and its rows; the page says which rows those are."""
    rows = {"a": 1, "b": 700, "c": 3, "d": 256, "e": 1031}
    order = SampleOrder(rows, seed=11, window_rows=window, weights=weights)
    order.reweigh(5000, {"c": 2, "e": 1})
    schedule = [asdict(phase) for phase in order.schedule]
    page = PageOrder(rows, 11, window)
    samples = [*range(300), *range(4900, 5100), *range(10**12, 10**12 + 50)]
    theirs = zip(*(column.tolist() for column in order.at(np.array(samples, dtype=np.int64))), strict=True)
    assert [page.row(sample, schedule) for sample in samples] == list(theirs)
