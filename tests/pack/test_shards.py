"""The shard format: what is written is what is read, by our reader and by plain pyarrow."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, InputError
from pipeline.manifests import damaged_files
from pipeline.pack.config import PackConfig
from pipeline.pack.format import ShardSpec
from pipeline.pack.rows import TokenisedDocument, pack_documents
from pipeline.pack.shards import ShardSet
from pipeline.records import PackedRow
from tests.pack.shard_maker import END_OF_TEXT, document, documents_of, spec_of, write_shards


def framed(doc: TokenisedDocument) -> list[int]:
    return [END_OF_TEXT, *doc.tokens.tolist(), END_OF_TEXT]


@pytest.mark.parametrize("method", ["best_fit", "concat", "one_per_row"])
@given(lengths=st.lists(st.integers(0, 30), min_size=1, max_size=40), sequence_length=st.integers(2, 12))
@settings(max_examples=60)
def test_inputs_and_labels_are_those_of_the_documents(method: str, lengths: list[int], sequence_length: int) -> None:
    spec = spec_of(sequence_length)
    documents = {doc.id: doc for doc in documents_of(lengths, source="web", spec=spec)}
    config = PackConfig(sequence_length=sequence_length, method=method)  # type: ignore[arg-type]
    trained: dict[bytes, list[int]] = {id: [] for id in documents}
    for row in sorted(pack_documents(documents.values(), config, spec), key=lambda row: row.offsets):
        assert len(row.tokens) == sequence_length + 1
        for start, end, offset, doc_id in zip(row.starts, row.ends, row.offsets, row.doc_ids, strict=True):
            expected = framed(documents[doc_id])[offset : offset + end - start + 1]
            assert list(row.tokens[start : end + 1]) == expected
    for row in pack_documents(documents.values(), config, spec):
        for start, end, offset, doc_id in zip(row.starts, row.ends, row.offsets, row.doc_ids, strict=True):
            trained[doc_id] += range(offset, offset + end - start)
    for doc_id, labels in trained.items():
        assert sorted(labels) == list(range(len(documents[doc_id].tokens) + 1))


def test_hand_worked_row() -> None:
    spec = spec_of(6)
    first = TokenisedDocument(id=b"a" * 16, source="web", tokens=np.array([11, 12], dtype=np.uint16))
    second = TokenisedDocument(id=b"b" * 16, source="web", tokens=np.array([21, 22], dtype=np.uint16))
    rows = list(pack_documents([second, first], PackConfig(sequence_length=6), spec))
    assert rows == [
        PackedRow(
            tokens=(0, 11, 12, 0, 21, 22, 0),
            starts=(0, 3),
            ends=(3, 6),
            offsets=(0, 0),
            doc_ids=(b"a" * 16, b"b" * 16),
            source="web",
        )
    ]


def test_rows_are_read_back_by_source_and_number(tmp_path: Path) -> None:
    spec = spec_of(32)
    parts = [
        documents_of([5, 40, 100, 3] * 30, source="web", spec=spec) + documents_of([7] * 50, source="books", spec=spec),
        [*documents_of([20] * 700, source="code", spec=spec), document("one more", 9, source="web", spec=spec)],
    ]
    folder = write_shards(tmp_path, {"train": parts}, spec)
    shards = ShardSet.open(folder)
    assert shards.sources == ("books", "code", "web")
    config = PackConfig(sequence_length=32)
    expected: dict[str, list[PackedRow]] = {source: [] for source in shards.sources}
    for part in parts:
        for row in pack_documents(part, config, spec):
            expected[row.source].append(row)
    for source in shards.sources:
        assert shards.num_rows(source) == len(expected[source])
        assert [shards.row(source, i) for i in range(shards.num_rows(source))] == expected[source]
    assert shards.num_rows() == sum(map(len, expected.values()))
    with pytest.raises(IndexError, match="rows 0 to"):
        shards.row("web", 10_000)
    with pytest.raises(InputError, match="no rows of source 'mail'"):
        shards.row("mail", 0)


def test_plain_pyarrow_reads_a_shard(tmp_path: Path) -> None:
    spec = spec_of(16)
    folder = write_shards(tmp_path, {"train": [documents_of([3, 50, 8], source="web", spec=spec)]}, spec)
    with pa.memory_map(f"{folder}/train/00000.arrow") as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.column_names == ["tokens", "starts", "ends", "offsets", "doc_ids", "source"]
    assert table.schema.field("tokens").type.list_size == 17
    assert ShardSpec.of(table.schema, "here") == spec
    table.validate(full=True)


@pytest.mark.parametrize(("vocab_size", "expected"), [(65_536, pa.uint16()), (65_537, pa.uint32())])
def test_tokens_are_as_wide_as_the_vocabulary_needs(vocab_size: int, expected: pa.DataType) -> None:
    assert spec_of(8, vocab_size=vocab_size).schema().field("tokens").type.value_type == expected


@pytest.mark.parametrize("vocab_size", [2, 65_535, 65_536, 65_537, 1 << 20])
def test_the_largest_id_of_a_vocabulary_is_kept(tmp_path: Path, vocab_size: int) -> None:
    spec = spec_of(8, vocab_size=vocab_size)
    tokens = np.array([vocab_size - 1, 1, vocab_size - 1], dtype=spec.dtype)
    doc = TokenisedDocument(id=b"a" * 16, source="web", tokens=tokens)
    row = ShardSet.open(write_shards(tmp_path, {"train": [[doc]]}, spec)).row("web", 0)
    assert row.tokens[1:4] == (vocab_size - 1, 1, vocab_size - 1)
    assert spec.dtype.itemsize == (2 if vocab_size <= 65_536 else 4)


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_a_flipped_bit_is_caught_when_its_batch_is_touched(tmp_path: Path, bit: int) -> None:
    spec = spec_of(16)
    folder = write_shards(tmp_path, {"train": [documents_of([30] * 400, source="web", spec=spec)]}, spec)
    path = Path(folder, "train/00000.arrow")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1 << bit
    path.write_bytes(data)
    shards = ShardSet.open(folder)
    with pytest.raises(DataError, match=r"00000\.arrow is damaged: bytes"):
        list(map(partial(shards.row, "web"), range(shards.num_rows("web"))))


@pytest.mark.parametrize("column", ["tokens", "starts", "ends", "offsets", "doc_ids", "source"])
def test_a_flipped_bit_in_any_column_is_caught(tmp_path: Path, column: str) -> None:
    spec = spec_of(16)
    documents = documents_of([30, 5, 4, 3] * 40, source="web", spec=spec)
    folder = write_shards(tmp_path, {"train": [documents]}, spec)
    path = Path(folder, "train/00000.arrow")
    file = pa.memory_map(str(path))
    whole = file.read_buffer()
    array = pa.ipc.open_file(whole).get_batch(0).column(column)
    while pa.types.is_nested(array.type):
        array = array.values
    data = bytearray(path.read_bytes())
    values = array.buffers()[-1]
    data[values.address - whole.address + values.size // 2] ^= 16
    path.write_bytes(data)
    with pytest.raises(DataError, match="is damaged"):
        ShardSet.open(folder).row("web", 0)


def test_shards_in_each_others_place_are_damage(tmp_path: Path) -> None:
    """Of equal length, so that only what they hold tells them apart."""
    spec = spec_of(16)
    parts = [[document(name, 40, source="web", spec=spec)] for name in ("one", "two")]
    folder = write_shards(tmp_path, {"train": parts}, spec)
    one, two = (Path(folder, f"train/0000{number}.arrow") for number in (0, 1))
    assert one.stat().st_size == two.stat().st_size
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    for number in range(2):
        with pytest.raises(DataError, match="is damaged"):
            ShardSet.open(folder).row("web", 3 * number)


def test_the_footer_of_a_shard_is_not_needed_for_its_rows(tmp_path: Path) -> None:
    """A file whose end is lost still gives the batches before; the proof of the run notices by its SHA-256."""
    spec = spec_of(16)
    folder = write_shards(tmp_path, {"train": [documents_of([5] * 40, source="web", spec=spec)]}, spec)
    first = ShardSet.open(folder).row("web", 0)
    path = Path(folder, "train/00000.arrow")
    path.write_bytes(path.read_bytes()[:-40])
    assert ShardSet.open(folder).row("web", 0) == first
    assert list(damaged_files(folder))


def test_a_flipped_bit_in_the_batch_index_is_caught(tmp_path: Path) -> None:
    spec = spec_of(8)
    folder = write_shards(tmp_path, {"train": [documents_of([5, 9], source="web", spec=spec)]}, spec)
    path = Path(folder, "train.batches.arrow")
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match="has changed since it was written"):
            ShardSet.open(folder)


def test_shards_of_a_newer_format_are_refused(tmp_path: Path) -> None:
    spec = replace(spec_of(8), format=2)
    folder = write_shards(tmp_path, {"train": [documents_of([5], source="web", spec=spec)]}, spec)
    with pytest.raises(DataError, match="has shard format 2; this version reads up to 1"):
        ShardSet.open(folder)


def test_every_byte_of_every_batch_is_under_a_checksum(tmp_path: Path) -> None:
    spec = spec_of(8)
    folder = write_shards(tmp_path, {"train": [documents_of([5, 9], source="web", spec=spec)]}, spec)
    index = pa.ipc.open_file(f"{folder}/train.batches.arrow").read_all().to_pylist()
    path = Path(folder, "train/00000.arrow")
    whole = path.read_bytes()
    offset, num_bytes = index[0]["offset"], index[0]["num_bytes"]
    for place in range(offset, offset + num_bytes, 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        with pytest.raises(DataError):
            ShardSet.open(folder).row("web", 0)


def test_damage_and_absence_are_explained(tmp_path: Path) -> None:
    spec = spec_of(16)
    folder = write_shards(tmp_path, {"train": [documents_of([30] * 40, source="web", spec=spec)]}, spec)
    with pytest.raises(InputError, match="no split 'heldout'"):
        ShardSet.open(folder, "heldout")
    with pytest.raises(InputError, match="not a complete dataset"):
        ShardSet.open(str(tmp_path / "nowhere"))
    index = Path(folder, "train.batches.arrow")
    index.write_bytes(index.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"train\.batches\.arrow has changed"):
        ShardSet.open(folder)


def test_a_truncated_shard_is_damaged_and_a_missing_one_missing(tmp_path: Path) -> None:
    spec = spec_of(16)
    folder = write_shards(tmp_path, {"train": [documents_of([30] * 400, source="web", spec=spec)]}, spec)
    path = Path(folder, "train/00000.arrow")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="is damaged"):
        ShardSet.open(folder).row("web", 30)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is damaged"):
        ShardSet.open(folder).row("web", 0)
    path.unlink()
    with pytest.raises(InputError, match="is missing, although the batch index names it"):
        ShardSet.open(folder).row("web", 0)
