"""What the proof of a set of shards finds."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import verify
from jobs.engine import Engine
from jobs.pack import pack_run
from pipeline.errors import DataError
from pipeline.manifests import read_manifest
from pipeline.pack.config import PackConfig
from pipeline.pack.encoded import shard_of
from pipeline.pack.format import RowBlock, ShardSpec
from pipeline.pack.rows import TokenisedDocument, pack_blocks
from pipeline.pack.shard_writer import ShardWriter, write_index
from pipeline.pack.verification import shard_problems
from pipeline.steps import Receipt, Step, content_of, write_receipt
from tests.pack.shard_maker import END_OF_TEXT, documents_of, spec_of
from tests.pack.test_stage import CONFIG, make_documents, write_run

Change = Callable[[RowBlock], RowBlock]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_run(tmp_path_factory.mktemp("run"), [make_documents(60)])
    pack_run(folder, CONFIG, Engine())
    return folder


def test_nothing_is_wrong_with_what_the_job_made(run: str) -> None:
    assert list(shard_problems(f"{run}/shards", f"{run}/documents")) == []


def test_other_documents_are_noticed(run: str, tmp_path: Path) -> None:
    fewer = write_run(tmp_path / "fewer", [make_documents(59)])
    assert list(shard_problems(f"{run}/shards", f"{fewer}/documents")) == [
        f"{run}/shards: 60 documents are in the rows, 59 in {fewer}/documents"
    ]
    swapped = [*make_documents(61)[:59], make_documents(61)[60]]
    other = write_run(tmp_path / "other", [swapped])
    assert list(shard_problems(f"{run}/shards", f"{other}/documents")) == [
        f"{run}/shards: the documents in the rows are not those in {other}/documents"
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda value, other: None, None),
        (lambda value, other: value["counts"].update({"train/labels": 1}), "labels, the manifest says 1"),
        (lambda value, other: value["inputs"].update({"documents": other}), "60 documents are in the rows, 59 in"),
    ],
    ids=["nothing", "counts", "documents"],
)
def test_verify_looks_into_the_shards(run: str, tmp_path: Path, change: Any, sentence: str | None) -> None:
    """Every checksum is right; what is wrong shows in the rows alone."""
    mine = tmp_path / "run"
    shutil.copytree(run, mine)
    if sentence and "59" in sentence:
        shutil.rmtree(mine / "documents")
        write_run(mine, [make_documents(59)])
    manifest = mine / "shards/manifest.json"
    value = json.loads(manifest.read_text())
    change(value, content_of(read_manifest(f"{mine}/documents")))
    manifest.write_text(json.dumps(value))
    if sentence is None:
        assert "the shards hold each document once" in verify.main(str(mine))
    else:
        with pytest.raises(DataError, match=sentence):
            verify.main(str(mine))


def test_a_flipped_bit_is_noticed(run: str, tmp_path: Path) -> None:
    shutil.copytree(f"{run}/shards", tmp_path / "shards")
    path = tmp_path / "shards/train/00000-of-00005.arrow"
    path = path if path.exists() else sorted((tmp_path / "shards/train").iterdir())[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    problems = list(shard_problems(str(tmp_path / "shards")))
    assert "is damaged: bytes" in problems[0]
    assert any("the manifest says" in problem for problem in problems[1:])


def write_changed(run: Path, change: Change) -> str:
    """Shards of a program with a defect: each block goes through `change` before it is written."""
    spec: ShardSpec = spec_of(32)
    documents: list[list[TokenisedDocument]] = [[], []]
    for document in documents_of([5, 70, 20, 33, 3] * 20, source="web", spec=spec):
        documents[shard_of(document.id, 2)].append(document)
    step = Step(run=str(run), name="shards", outputs=("shards",))
    step.begin()
    files, entries = {}, []
    for number, part in enumerate(documents):
        path = f"train/{number:05d}-of-00002.arrow"
        with ShardWriter(f"{step.folder('shards')}/{path}", spec) as writer:
            for block in pack_blocks(part, PackConfig(sequence_length=32), spec):
                writer.append(change(block))
        files[path] = writer.entries
        entries.append(writer.entry())
    entries.append(write_index(step.folder("shards"), "train", spec, files))
    write_receipt(step.attempt_folder, Receipt(shard="all", files={"shards": tuple(entries)}))
    step.commit(["all"])
    return step.folder("shards")


def with_lost_label(block: RowBlock) -> RowBlock:
    ends = block.ends.copy()
    ends[np.flatnonzero(block.ends - block.starts > 2)[0]] -= 1
    return replace(block, ends=ends)


def with_other_last_token(block: RowBlock) -> RowBlock:
    tokens = block.tokens.copy()
    last_ends = block.ends[block.list_offsets[1:] - 1]
    row = np.flatnonzero(tokens[np.arange(len(tokens)), last_ends] == END_OF_TEXT)[0]
    last = block.ends[block.list_offsets[row + 1] - 1]
    assert tokens[row, last] == END_OF_TEXT
    tokens[row, last] = 7
    return replace(block, tokens=tokens)


def with_other_first_token(block: RowBlock) -> RowBlock:
    tokens = block.tokens.copy()
    continued = np.flatnonzero(block.offsets > 0)[0]
    row = np.searchsorted(block.list_offsets, continued, side="right") - 1
    tokens[row, block.starts[continued]] += 1
    return replace(block, tokens=tokens)


def with_overlap(block: RowBlock) -> RowBlock:
    starts = block.starts.copy()
    second = np.flatnonzero(block.starts > 0)[0]
    starts[second] -= 1
    return replace(block, starts=starts)


def with_other_id(block: RowBlock) -> RowBlock:
    wrong = bytes([255 - block.doc_ids[0][0]]) + block.doc_ids[0][1:]
    return replace(block, doc_ids=[wrong if doc_id == block.doc_ids[0] else doc_id for doc_id in block.doc_ids])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda block: block, None),
        (with_lost_label, "does not end with end-of-text|do not make a whole"),
        (with_other_last_token, "does not end with end-of-text|do not make a whole"),
        (with_other_first_token, "do not make a whole"),
        (with_overlap, "do not lie side by side"),
        (with_other_id, "belongs into shard"),
        (lambda block: replace(block, offsets=block.offsets + 1), "do not make a whole"),
    ],
)
def test_defects_of_a_writer_are_noticed(tmp_path: Path, change: Change, sentence: str | None) -> None:
    problems = list(shard_problems(write_changed(tmp_path, change)))
    if sentence is None:
        assert problems == []
    else:
        assert any(part in problem for part in sentence.split("|") for problem in problems)
