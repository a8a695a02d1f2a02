"""Exports: read back by code that follows each format's own description, and by its own reader where installed."""

import json
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from jobs.export import export_run
from pipeline.errors import DataError, SettingError
from pipeline.manifests import damaged_files
from pipeline.pack.export import documents_of, export_source
from pipeline.pack.shards import ShardSet
from tests.pack.shard_maker import END_OF_TEXT, spec_of, write_shards
from tests.pack.shard_maker import documents_of as documents_with

LENGTHS = [5, 70, 20, 33, 3, 0, 200] * 9


@pytest.fixture(scope="module", params=[1000, 100_000], ids=["uint16", "uint32"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, list[list[int]]]]:
    """A run with exports in all formats, and the documents of each source, in order of file and id."""
    spec = spec_of(32, vocab_size=request.param)
    parts = [
        documents_with(LENGTHS, source="web", spec=spec) + documents_with([4], source="a/b c", spec=spec),
        documents_with([9, 90] * 5, source="books", spec=spec),
    ]
    run = tmp_path_factory.mktemp("run")
    write_shards(run, {"train": parts, "heldout": [documents_with([7, 8], source="other", spec=spec)]}, spec)
    expected: dict[str, list[list[int]]] = {}
    for part in parts:
        for document in sorted(part, key=lambda document: document.id):
            expected.setdefault(document.source, []).append([*document.tokens.tolist(), END_OF_TEXT])
    for format in ("megatron", "mds", "npy"):
        export_run(str(run), format)
        assert not list(damaged_files(f"{run}/export/{format}"))
    return str(run), expected


def read_megatron(prefix: str) -> list[list[int]]:
    """Follows the layout: magic, version, type, counts, lengths, byte pointers, document borders."""
    data = Path(f"{prefix}.idx").read_bytes()
    magic, version, code, num_sequences, num_borders = struct.unpack_from("<9sQBQQ", data)
    assert (magic, version, num_borders) == (b"MMIDIDX\x00\x00", 1, num_sequences + 1)
    place = struct.calcsize("<9sQBQQ")
    lengths = np.frombuffer(data, "<i4", num_sequences, place)
    pointers = np.frombuffer(data, "<i8", num_sequences, place + 4 * num_sequences)
    borders = np.frombuffer(data, "<i8", num_borders, place + 12 * num_sequences)
    assert borders.tolist() == list(range(num_sequences + 1))
    assert place + 12 * num_sequences + 8 * num_borders == len(data)
    tokens = Path(f"{prefix}.bin").read_bytes()
    kind = {8: "<u2", 4: "<i4"}[code]
    return [
        np.frombuffer(tokens, kind, n, p).tolist() for n, p in zip(lengths.tolist(), pointers.tolist(), strict=True)
    ]


def test_megatron_holds_every_document(exported: tuple[str, dict[str, list[list[int]]]]) -> None:
    run, expected = exported
    for source, documents in expected.items():
        assert (
            read_megatron(f"{run}/export/megatron/train/{source.replace('/', '%2F').replace(' ', '%20')}") == documents
        )


def test_npy_is_all_documents_end_to_end(exported: tuple[str, dict[str, list[list[int]]]]) -> None:
    run, expected = exported
    flat = np.load(f"{run}/export/npy/train/web.npy", mmap_mode="r")
    assert flat.dtype == ShardSet.open(f"{run}/shards").spec.dtype
    assert flat.tolist() == [token for document in expected["web"] for token in document]


def test_mds_holds_every_row(exported: tuple[str, dict[str, list[list[int]]]]) -> None:
    """Follows the layout: count, byte offsets, configuration, samples with the sizes of open columns in front."""
    run, _ = exported
    shards = ShardSet.open(f"{run}/shards")
    folder = Path(run, "export/mds/train/web")
    (info,) = json.loads((folder / "index.json").read_text())["shards"]
    assert info["samples"] == shards.num_rows("web")
    data = (folder / info["raw_data"]["basename"]).read_bytes()
    assert len(data) == info["raw_data"]["bytes"]
    (count,) = struct.unpack_from("<I", data)
    offsets = struct.unpack_from(f"<{count + 1}I", data, 4)
    for number in range(count):
        sample = data[offsets[number] : offsets[number + 1]]
        num_ends, num_starts = struct.unpack_from("<II", sample)
        ends, starts = sample[8 : 8 + num_ends], sample[8 + num_ends : 8 + num_ends + num_starts]
        row = shards.row("web", number)
        assert np.frombuffer(ends[5:], "<i4").tolist() == list(row.ends)
        assert np.frombuffer(starts[5:], "<i4").tolist() == list(row.starts)
        assert np.frombuffer(sample[8 + num_ends + num_starts :], shards.spec.dtype).tolist() == list(row.tokens)


def test_megatrons_own_reader(exported: tuple[str, dict[str, list[list[int]]]]) -> None:
    indexed_dataset = pytest.importorskip(
        "megatron.core.datasets.indexed_dataset", reason="megatron-core is not installed"
    )
    run, expected = exported
    dataset = indexed_dataset.IndexedDataset(f"{run}/export/megatron/train/web")
    assert [dataset[i].tolist() for i in range(len(dataset))] == expected["web"]


def test_mosaics_own_reader(exported: tuple[str, dict[str, list[list[int]]]]) -> None:
    streaming = pytest.importorskip("streaming", reason="mosaicml-streaming is not installed")
    run, _ = exported
    shards = ShardSet.open(f"{run}/shards")
    dataset = streaming.LocalDataset(local=f"{run}/export/mds/train/web")
    assert len(dataset) == shards.num_rows("web")
    for number in range(len(dataset)):
        row = shards.row("web", number)
        assert dataset[number]["tokens"].tolist() == list(row.tokens)
        assert dataset[number]["ends"].tolist() == list(row.ends)
        assert dataset[number]["starts"].tolist() == list(row.starts)


def test_mosaics_own_reader_takes_a_source_in_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    streaming = pytest.importorskip("streaming", reason="mosaicml-streaming is not installed")
    monkeypatch.setattr("pipeline.pack.export._MDS_SHARD_BYTES", 3000)
    spec = spec_of(32)
    shards = ShardSet.open(write_shards(tmp_path, {"train": [documents_with([40] * 300, source="a", spec=spec)]}, spec))
    assert len(export_source(shards, "a", str(tmp_path / "out"), "mds")) > 5
    dataset = streaming.LocalDataset(local=str(tmp_path / "out/a"))
    assert [tuple(sample["tokens"].tolist()) for sample in dataset] == [
        shards.row("a", number).tokens for number in range(shards.num_rows("a"))
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_datasets_reads_shards_as_they_are(
    exported: tuple[str, dict[str, list[list[int]]]], tmp_path: Path, streamed: bool
) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    run, _ = exported
    shards = ShardSet.open(f"{run}/shards")
    files = f"{run}/shards/train/*.arrow"
    cache = str(tmp_path)
    dataset = list(datasets.load_dataset("arrow", data_files=files, split="train", cache_dir=cache, streaming=streamed))
    assert len(dataset) == shards.num_rows()
    rows = [block.row(i) for _, block in shards.blocks() for i in range(len(block.tokens))]
    assert sorted(tuple(row["tokens"]) for row in dataset) == sorted(row.tokens for row in rows)
    assert sorted(row["doc_ids"] for row in dataset) == sorted(list(row.doc_ids) for row in rows)


def test_a_second_export_is_skipped_and_equal(exported: tuple[str, dict[str, list[list[int]]]]) -> None:
    run, _ = exported
    manifest = export_run(run, "npy")
    stamp = os.stat(f"{run}/export/npy/train/web.npy").st_mtime_ns
    assert export_run(run, "npy") == manifest
    assert os.stat(f"{run}/export/npy/train/web.npy").st_mtime_ns == stamp
    assert export_run(run, "npy", force=True) == manifest


def test_an_export_may_lie_elsewhere(exported: tuple[str, dict[str, list[list[int]]]], tmp_path: Path) -> None:
    run, expected = exported
    export_run(run, "megatron", f"{tmp_path}/elsewhere")
    assert read_megatron(f"{tmp_path}/elsewhere/train/books") == expected["books"]


# What lies where an export is to go, and what is said instead of removing it.
TAKEN = [
    ("mine", {"mine/sub/notes.txt": "a"}, "mine holds files of something else"),
    ("shards", {}, "shards is another dataset"),  # that which is exported
    ("/", {}, "out is '/'"),
    (".", {}, "out is '.'"),
    ("..", {}, "out is '..'"),
    ("mine/..", {}, "out is 'mine/..'"),
    ("s3://bucket/", {}, "out is 's3://bucket/'"),
]


@pytest.mark.parametrize(("out", "files", "said"), TAKEN)
def test_an_export_removes_nothing_that_is_not_an_export(
    out: str, files: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(32)
    write_shards(tmp_path, {"train": [documents_with([5, 5], source="web", spec=spec)[:1]]}, spec)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(SettingError, match=re.escape(said)):
        export_run(".", "npy", out, force=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_export_replaces_an_earlier_one(exported: tuple[str, dict[str, list[list[int]]]], tmp_path: Path) -> None:
    for format in ("megatron", "npy"):
        export_run(exported[0], format, f"{tmp_path}/out/")  # type: ignore[arg-type]
    assert sorted(path.name for path in (tmp_path / "out" / "train").iterdir()) == [
        "a%2Fb%20c.npy",
        "books.npy",
        "web.npy",
    ]


def test_an_unknown_format_is_named(exported: tuple[str, dict[str, list[list[int]]]]) -> None:
    with pytest.raises(SettingError, match="format is 'tfrecord'; allowed are megatron, mds, npy"):
        export_run(exported[0], "tfrecord")  # type: ignore[arg-type]


def test_two_documents_with_one_id_are_refused(tmp_path: Path) -> None:
    spec = spec_of(32)
    twins = documents_with([5, 5], source="web", spec=spec)
    folder = write_shards(tmp_path, {"train": [[twins[0], twins[0]]]}, spec)
    with pytest.raises(DataError, match="is not there exactly once"):
        list(documents_of(ShardSet.open(folder), "web"))
    with pytest.raises(DataError, match="is not there exactly once"):
        export_source(ShardSet.open(folder), "web", str(tmp_path / "out"), "npy")
