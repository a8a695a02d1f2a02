"""`corpusmill dedup-curve` and `dedup-index`: what they print, and what they refuse."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.dedup.config import DedupConfig
from pipeline.manifests import Manifest, read_manifest
from pipeline.records import Document
from pipeline.tables import read_rows
from tests.commands import Commands


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["s = 0.50", "s = 0.95", "14x8", "0.7716", "false negatives", "default 28x5"]),
        (
            ["--target-similarity", "0.8"],
            ["18 bands × 7 rows", "s = 0.80  candidate with probability 0.9855", "missed"],
        ),
        (["--target-similarity", "0.8", "--permutations", "64"], ["permutations", "expected false positives"]),
        (["--set", "dedup.preset=14x8"], ["14 bands × 8 rows", "0.9235", "around s = 0.75"]),
    ],
)
def test_the_curve(commands: Commands, arguments: list[str], parts: list[str]) -> None:
    ended = commands.run("dedup-curve", *arguments)
    assert ended.code == 0, ended.err
    for part in parts:
        assert part in ended.out


def test_what_the_curve_refuses(commands: Commands) -> None:
    ended = commands.run("dedup-curve", "--target-similarity", "1.8")
    assert (ended.code, ended.sentences) == (
        2,
        ["corpusmill: dedup.target_similarity is 1.8; allowed is between 0 and 1"],
    )


def test_an_index_is_shown_and_documents_are_taken_out(
    commands: Commands,
    make_run: Callable[..., str],
    in_this_process: Callable[..., Manifest],
    corpus: list[Document],
    tmp_path: Path,
) -> None:
    run = make_run(corpus)
    kept = in_this_process(run, DedupConfig(keep_signatures=True)).counts["kept"]
    index, smaller, ids = f"{run}/signatures", str(tmp_path / "smaller"), tmp_path / "ids.txt"
    shown = commands.run("dedup-index", "show", index)
    assert shown.code == 0, shown.err
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["documents", str(kept)] in lines
    assert ["permutations", "140"] in lines
    survivor = next(read_rows(f"{run}/documents/part-00000.parquet"))["id"]
    ids.write_text(f"{survivor}\n{survivor}\n")
    taken = commands.run("dedup-index", "take-out", index, smaller, "--ids", ids)
    assert taken.code == 0, taken.err
    assert taken.out.strip() == f"{smaller}: {kept - 1} documents, 1 taken out"
    assert read_manifest(smaller).num_records == kept - 1
    assert read_manifest(smaller).fingerprint != read_manifest(index).fingerprint

    again = commands.run("dedup-index", "take-out", smaller, str(tmp_path / "third"), "--ids", "-", stdin=survivor)
    assert again.code == 1
    assert f"such as {survivor}" in again.sentences[0]
    wrong = commands.run("dedup-index", "take-out", index, str(tmp_path / "third"), "--ids", "-", stdin="no-id")
    assert wrong.code == 1
    assert "not 32 hex digits: 'no-id'" in wrong.sentences[0]
    other = commands.run("dedup-index", "show", f"{run}/documents")
    assert other.code == 1
    assert "is no signature table" in other.sentences[0]
