"""Documents to shards through the job: conservation, equal bytes whatever the arrangement, resuming."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.engine import Engine
from jobs.pack import pack_run
from pipeline.atomic import AtomicFile
from pipeline.errors import CorpusmillError, DataError
from pipeline.manifests import Manifest, damaged_files
from pipeline.pack import stage
from pipeline.pack.config import PackConfig
from pipeline.pack.encoded import NUM_BUCKETS, EncodedDocument, buckets_of, shard_of, write_encoded
from pipeline.pack.shards import ShardSet
from pipeline.pack.verification import shard_problems
from pipeline.places import join
from pipeline.records import Document, page_id
from pipeline.steps import Receipt, Step, write_receipt
from pipeline.storage import write_bytes
from pipeline.tables import DOCUMENTS, TableWriter, document_row
from tests.pack.shard_maker import byte_tokenizer
from tokenizer.encoding import Encoder, load_encoder

CONFIG = PackConfig(sequence_length=64, heldout_share=0.2, shard_tokens=8192)


def make_documents(number: int = 120) -> list[Document]:
    documents = []
    for i in range(number):
        url = f"https://example.org/{i}"
        text = f"Page {i}. " + "A sentence with an é and a 中, and <|endoftext|> in it. " * (i % 11)
        source, language = ("books", "web")[i % 3 > 0], ("de", "en")[i % 2]
        documents.append(Document(id=page_id(url, text.encode()), url=url, text=text, source=source, language=language))
    return documents


def write_run(run: Path, parts: Sequence[Sequence[Document]]) -> str:
    """The datasets that packing starts from, in `run`."""
    step = Step(run=str(run), name="dedup", outputs=("documents",))
    step.begin()
    for number, part in enumerate(parts):
        with TableWriter(join(step.folder("documents"), f"part-{number}.parquet"), DOCUMENTS) as writer:
            for document in part:
                writer.append(document_row(document))
        write_receipt(step.attempt_folder, Receipt(shard=f"part-{number}", files={"documents": (writer.entry(),)}))
    step.commit([f"part-{number}" for number in range(len(parts))])
    step = Step(run=str(run), name="tokenizer", outputs=("tokenizer",))
    step.begin()
    entry = write_bytes(join(step.folder("tokenizer"), "tokenizer.json"), byte_tokenizer().encode())
    write_receipt(step.attempt_folder, Receipt(shard="tokenizer", files={"tokenizer": (entry,)}))
    step.commit(["tokenizer"])
    return str(run)


def encoder_of(run: str) -> Encoder:
    return load_encoder(f"{run}/tokenizer/tokenizer.json")


def files_of(manifest: Manifest) -> dict[str, str]:
    return {entry.path: entry.sha256 for entry in manifest.files}


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return make_documents()


@pytest.fixture(scope="module")
def packed(documents: list[Document], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Manifest]:
    run = write_run(tmp_path_factory.mktemp("run"), [documents[:50], documents[50:]])
    return run, pack_run(run, CONFIG, Engine())


def test_every_document_is_in_the_rows_exactly_once(packed: tuple[str, Manifest], documents: list[Document]) -> None:
    run, _ = packed
    encoder = encoder_of(run)
    texts: dict[str, dict[int, int]] = {}
    for split in ("train", "heldout"):
        shards = ShardSet.open(f"{run}/shards", split)
        for source in shards.sources:
            for number in range(shards.num_rows(source)):
                row = shards.row(source, number)
                for start, end, offset, doc_id in zip(row.starts, row.ends, row.offsets, row.doc_ids, strict=True):
                    labels = dict(enumerate(row.tokens[start + 1 : end + 1], offset))
                    seen = texts.setdefault(doc_id.hex(), {})
                    assert not labels.keys() & seen.keys()
                    seen.update(labels)
    assert texts.keys() == {document.id for document in documents}
    for document in documents:
        *tokens, last = [label for _, label in sorted(texts[document.id].items())]
        assert last == encoder.end_of_text_id
        assert encoder.end_of_text_id not in tokens
        assert encoder.decode(tokens) == document.text
    assert not list(damaged_files(f"{run}/shards"))


def test_counts_say_what_went_in_and_what_came_out(packed: tuple[str, Manifest], documents: list[Document]) -> None:
    run, manifest = packed
    counts = manifest.counts
    encoder = encoder_of(run)
    assert (counts["read"], counts["kept"], counts["rejected"]) == (len(documents), len(documents), 0)
    assert counts["train/documents"] + counts["heldout/documents"] == len(documents)
    assert counts["train/text_bytes"] + counts["heldout/text_bytes"] == sum(
        len(document.text.encode()) for document in documents
    )
    tokens = sum(len(encoder.encode(document.text)) for document in documents)
    assert counts["train/tokens"] + counts["heldout/tokens"] == tokens
    for split in ("train", "heldout"):
        assert counts[f"{split}/labels"] == counts[f"{split}/tokens"] + counts[f"{split}/documents"]
        assert counts[f"{split}/positions"] == counts[f"{split}/rows"] * 64
        assert counts[f"{split}/positions"] == counts[f"{split}/labels"] + counts[f"{split}/padding"]
        for key in ("documents", "labels", "text_bytes"):
            for part in ("source", "language"):
                parts = [value for name, value in counts.items() if name.startswith(f"{split}/{key}/{part}/")]
                assert sum(parts) == counts[f"{split}/{key}"]


@pytest.mark.parametrize("method", ["concat", "one_per_row"])
def test_other_methods_keep_every_label_and_depend_on_the_documents_alone(
    documents: list[Document], tmp_path: Path, method: str
) -> None:
    config = replace(CONFIG, method=method)  # type: ignore[arg-type]
    one = pack_run(write_run(tmp_path / "one", [documents[:33], documents[33:]]), config, Engine())
    other = pack_run(write_run(tmp_path / "other", [documents[::-1]]), config, Engine())
    assert files_of(one) == files_of(other)
    assert list(shard_problems(f"{tmp_path}/one/shards", f"{tmp_path}/one/documents")) == []
    assert one.counts["train/labels"] == one.counts["train/packed_labels"]
    if method == "one_per_row":
        whole = ShardSet.open(f"{tmp_path}/one/shards")
        rows = (whole.row(name, number) for name in whole.sources for number in range(whole.num_rows(name)))
        assert {len(row.doc_ids) for row in rows} == {1}


@pytest.mark.parametrize("arrangement", ["reversed", "one part", "many parts, one empty"])
def test_shards_depend_on_the_documents_alone(
    packed: tuple[str, Manifest], documents: list[Document], tmp_path: Path, arrangement: str
) -> None:
    parts = {
        "reversed": [documents[::-1]],
        "one part": [documents],
        "many parts, one empty": [*(documents[i::7] for i in range(7)), []],
    }[arrangement]
    manifest = pack_run(write_run(tmp_path, parts), CONFIG, Engine())
    assert files_of(manifest) == files_of(packed[1])
    assert manifest.counts == packed[1].counts


def test_a_large_part_is_encoded_in_several_files(
    packed: tuple[str, Manifest], documents: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory holds one file's tokens, whatever the size of a part; the shards are the same."""
    written: list[int] = []

    def noted(file: AtomicFile, group: Sequence[EncodedDocument], token_type: pa.DataType) -> None:
        written.append(sum(len(document.tokens) for document in group))
        write_encoded(file, group, token_type)

    monkeypatch.setattr(stage, "FILE_TOKENS", 2000)
    monkeypatch.setattr(stage, "write_encoded", noted)
    manifest = pack_run(write_run(tmp_path, [documents]), CONFIG, Engine())
    assert files_of(manifest) == files_of(packed[1])
    assert len(written) > 5
    assert max(written) < 2000 + max(len(document.text.encode()) for document in documents)


@pytest.mark.slow
def test_worker_processes_change_nothing(
    packed: tuple[str, Manifest], documents: list[Document], tmp_path: Path
) -> None:
    parts = [documents[i::5] for i in range(5)]
    assert files_of(pack_run(write_run(tmp_path, parts), CONFIG, Engine(workers=3))) == files_of(packed[1])


def test_equal_documents_with_one_id_are_packed_in_one_order(documents: list[Document], tmp_path: Path) -> None:
    twins = [replace(documents[0], text="one"), replace(documents[0], text="two")]
    config = replace(CONFIG, heldout_share=0.0)
    one = pack_run(write_run(tmp_path / "one", [documents, twins]), config, Engine())
    other = pack_run(write_run(tmp_path / "other", [twins[::-1], documents]), config, Engine())
    assert files_of(one) == files_of(other)


def test_a_step_that_is_up_to_date_is_skipped_and_force_gives_the_same(
    packed: tuple[str, Manifest],
) -> None:
    run, manifest = packed
    stamps = [path.stat().st_mtime_ns for path in Path(run, "shards/train").iterdir()]
    assert pack_run(run, CONFIG, Engine()) == manifest
    assert [path.stat().st_mtime_ns for path in Path(run, "shards/train").iterdir()] == stamps
    assert pack_run(run, CONFIG, Engine(), force=True) == manifest


def test_nothing_but_the_dataset_is_left(packed: tuple[str, Manifest]) -> None:
    run, manifest = packed
    assert not Path(run, "encoded").exists()
    left = {
        path.relative_to(Path(run, "shards")).as_posix() for path in Path(run, "shards").rglob("*") if path.is_file()
    }
    assert left == {"manifest.json", *files_of(manifest)}


def test_an_attempt_goes_on_after_what_is_done(
    packed: tuple[str, Manifest], documents: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails in the third shard, as a killed attempt would, then runs again."""
    run = write_run(tmp_path, [documents])
    work = stage.PackShard.process
    begun: list[str] = []

    def fails_late(self, shard, outputs):  # type: ignore[no-untyped-def]
        begun.append(shard.name)
        if len(begun) == 3:
            raise DataError("the disk is full")
        return work(self, shard, outputs)

    monkeypatch.setattr(stage.PackShard, "process", fails_late)
    with pytest.raises(Exception, match="the disk is full"):
        pack_run(run, CONFIG, Engine())
    assert not Path(run, "shards/manifest.json").exists()
    assert files_of(pack_run(run, CONFIG, Engine())) == files_of(packed[1])
    assert len(begun) == len(set(begun)) + 1


def test_a_number_of_held_out_documents(documents: list[Document], tmp_path: Path) -> None:
    config = replace(CONFIG, heldout_documents=7)
    manifest = pack_run(write_run(tmp_path, [documents]), config, Engine())
    assert manifest.counts["heldout/documents"] == 7


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (replace(CONFIG, heldout_share=1e-9), "raise pack.heldout_share, or set pack.heldout_documents"),
        (replace(CONFIG, heldout_documents=500), "leaves no document to train on"),
    ],
)
def test_an_empty_split_is_explained(
    documents: list[Document], tmp_path: Path, config: PackConfig, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        pack_run(write_run(tmp_path, [documents]), config, Engine())


def test_a_foreign_id_is_named(documents: list[Document], tmp_path: Path) -> None:
    parts = [[*documents[:3], replace(documents[3], id="page-4")]]
    with pytest.raises(CorpusmillError, match="document 'page-4' has an id that is not 32 hexadecimal digits"):
        pack_run(write_run(tmp_path, parts), CONFIG, Engine())


@pytest.mark.parametrize("num_shards", [1, 2, 3, 7, 100, NUM_BUCKETS])
def test_the_shard_of_a_document_is_known_from_its_id(num_shards: int) -> None:
    for bucket in range(0, NUM_BUCKETS, 13):
        doc_id = (bucket << 4).to_bytes(2, "big") + bytes(14)
        first, end = buckets_of("train", shard_of(doc_id, num_shards), num_shards)
        assert first <= bucket < end


def test_shards_open_as_plain_arrow(packed: tuple[str, Manifest]) -> None:
    run, manifest = packed
    rows = sum(
        pa.ipc.open_file(f"{run}/shards/{entry.path}").read_all().num_rows
        for entry in manifest.files
        if "/" in entry.path
    )
    assert rows == manifest.counts["train/rows"] + manifest.counts["heldout/rows"]


def test_the_log_says_which_encoder_was_chosen(
    packed: tuple[str, Manifest],
    documents: list[Document],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the speeds beside it; no byte of the run knows of it."""
    run = write_run(tmp_path, [documents[:50], documents[50:]])
    monkeypatch.setattr("tokenizer.encoding._CHARACTERS_BEFORE_CHOICE", 1000)
    manifest = pack_run(run, CONFIG, Engine(workers=1))
    found = re.search(
        r"encode: by (\S+), which 1 worker\(s\) found fastest; MB a CPU second: ([^;]*)", capsys.readouterr().err
    )
    assert found is not None
    speeds = {name: float(speed) for name, speed in (part.split() for part in found[2].split(", "))}
    assert found[1] == max(speeds, key=speeds.__getitem__)
    assert {"tokenizers", "corpusmill", "gigatoken"} <= set(speeds)
    assert min(speeds.values()) > 0
    assert manifest == packed[1]
    assert not list(tmp_path.glob("**/remarks"))


def test_the_log_says_when_nothing_was_chosen(
    documents: list[Document], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack_run(write_run(tmp_path, [documents]), CONFIG, Engine(workers=1))
    assert "encode: by tokenizers; no worker had text enough" in capsys.readouterr().err
