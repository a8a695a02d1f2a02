"""How many documents each survivor stands for: as the rejections say, the same on every way, and nothing where it is not asked for."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.dedup import deduplicate_run, step_of
from jobs.engine import Engine
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.exchange import gather, write_exchange
from pipeline.dedup.filtering import deduplicate_records
from pipeline.dedup.passages_config import PassagesConfig
from pipeline.dedup.plan import parts_of
from pipeline.dedup.report import CLUSTERED
from pipeline.dedup.sizes import SIZE
from pipeline.errors import DataError
from pipeline.manifests import Manifest, read_manifest
from pipeline.records import Document
from pipeline.storage import read_json
from pipeline.tables import DOCUMENTS, with_cluster_size
from tests.dedup.conftest import MakeRun, document
from tests.dedup.test_stage import bytes_of, kept, rejections, run_alone

Deduplicate = Callable[..., Manifest]
SIZES = DedupConfig(cluster_sizes=True)
STARS = replace(SIZES, max_pairs_in_memory=0)


def expected(run: str) -> dict[str, int]:
    """The slow way: one for each survivor, and one for each rejection that names it."""
    named = Counter(row["duplicate_of"] for row in rejections(run) if row["reason"] in CLUSTERED)
    return {one.id: 1 + named[one.id] for one in kept(run)}


@pytest.fixture
def varied(corpus: list[Document]) -> list[Document]:
    """The corpus, and a chain in which a text without a pair of its own is near to the survivor's equals."""
    chain = [document(" ".join(f"c{word}" for word in range(n * 8, n * 8 + 150)), f"http://l/{n}") for n in range(20)]
    return [*corpus, *chain, *(document(one.text.upper(), f"{one.url}/again") for one in chain[::3])]


@pytest.mark.parametrize("config", [SIZES, STARS, replace(SIZES, near=False), replace(SIZES, survivor="longest")])
@pytest.mark.parametrize("per_part", [7, 1000])
def test_as_the_rejections_say(
    make_run: MakeRun, in_this_process: Deduplicate, varied: list[Document], config: DedupConfig, per_part: int
) -> None:
    run = make_run(varied, per_part=per_part)
    counts = in_this_process(run, config).counts
    sizes = {one.id: one.cluster_size for one in kept(run)}
    assert sizes == expected(run)
    assert sum(sizes.values()) == counts["read"] - counts["rejected/dedup/same_page"], "each document is in one cluster"
    assert {1, 2} < set(sizes.values())
    largest = read_json(f"{run}/duplicates/clusters.json")["largest"]
    assert [(each["documents"], True) for each in largest] == [(sizes[each["survivor"]], True) for each in largest]
    for path in Path(run, "documents").glob("*.parquet"):
        assert pq.read_schema(path) == with_cluster_size(DOCUMENTS)


def test_nothing_else_changes(make_run: MakeRun, in_this_process: Deduplicate, varied: list[Document]) -> None:
    runs = [make_run(varied, name=name) for name in ("without", "with")]
    in_this_process(runs[0])
    in_this_process(runs[1], SIZES)
    assert kept(runs[0]) == [replace(one, cluster_size=1) for one in kept(runs[1])]
    others = [
        {path: content for path, content in bytes_of(run, "duplicates", "rejected").items() if "manifest" not in path}
        for run in runs
    ]
    assert others[0] == others[1]
    manifest = read_manifest(f"{runs[0]}/documents")
    assert "cluster_sizes" not in manifest.settings["dedup"], "what was made before there were sizes is up to date"
    assert not [name for name in manifest.counts if "sizes" in name]
    assert pq.read_schema(next(Path(runs[0], "documents").glob("*.parquet"))) == DOCUMENTS
    assert step_of(runs[1], SIZES).is_current()
    assert not step_of(runs[1], DedupConfig()).is_current()


@pytest.mark.parametrize(
    ("engine", "config"),
    [
        pytest.param(
            Engine(beam_args=("--direct_runner_bundle_repeat=2",)),
            SIZES,
            id="each bundle twice",
            marks=pytest.mark.slow,
        ),
        pytest.param(Engine(workers=2), SIZES, id="2 workers", marks=pytest.mark.slow),
        pytest.param(Engine(workers=3), STARS, id="3 workers, by stars", marks=pytest.mark.slow),
    ],
)
def test_the_same_bytes_for_any_number_of_workers(
    make_run: MakeRun, in_this_process: Deduplicate, varied: list[Document], engine: Engine, config: DedupConfig
) -> None:
    runs = [make_run(varied, name=name, per_part=21) for name in ("one", "many")]
    in_this_process(runs[0], config)
    run_alone(runs[1], config, engine)
    assert bytes_of(runs[0]) == bytes_of(runs[1])


def test_the_same_bytes_where_files_are_merged(
    make_run: MakeRun, in_this_process: Deduplicate, varied: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(varied, name=name, per_part=7) for name in ("few", "many")]
    in_this_process(runs[0], SIZES)
    monkeypatch.setattr("pipeline.dedup.plan.MERGED_FILES", 2)
    in_this_process(runs[1], SIZES)
    documents = [bytes_of(run, "documents") for run in runs]
    assert {path: documents[0][path] for path in documents[0] if "manifest" not in path} == {
        path: documents[1][path] for path in documents[1] if "manifest" not in path
    }


def test_the_same_bytes_after_a_kill(make_run: MakeRun, in_this_process: Deduplicate, varied: list[Document]) -> None:
    """One that dies between the counting and the last phase goes on behind what has its receipt."""
    runs = [make_run(varied, name=name, per_part=21) for name in ("whole", "killed")]
    in_this_process(runs[0], SIZES)

    def die(phase: str) -> None:
        if phase == "apply":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_this_process(runs[1], SIZES, between=die)
    done = {path.stem for path in Path(runs[1], "attempts/dedup/shards/sizes").glob("*.json")}
    assert len(done) > 3
    deduplicate_run(runs[1], SIZES, Engine())
    assert bytes_of(runs[0]) == bytes_of(runs[1])


@pytest.mark.parametrize("what", ["another id", "no such row", "one that does not survive", "lost"])
def test_a_count_that_was_lost_or_moved_ends_the_job(
    make_run: MakeRun, in_this_process: Deduplicate, varied: list[Document], what: str
) -> None:
    run = make_run(varied, per_part=1000)
    path = str(Path(run, "attempts", "dedup", "work", "sizes", "00000.bin"))

    def damage(phase: str) -> None:
        if phase != "apply":
            return
        sizes = gather([path], SIZE, 0)
        if what == "another id":
            sizes["low"][0] ^= 1
        elif what == "no such row":
            sizes["ref"][0] = 1 << 20
        elif what == "lost":
            sizes = sizes[1:]
        else:
            ids, gone = [one.id for one in varied], next(row["id"] for row in rejected if row["reason"] in CLUSTERED)
            sizes["ref"][0], (sizes["high"][0], sizes["low"][0]) = ids.index(gone), (int(gone[:16], 16), int(gone[16:], 16))  # fmt: skip
        write_exchange(path, sizes, parts_of(sizes["ref"]), 1)

    in_this_process(run)
    rejected = rejections(run)
    with pytest.raises(DataError, match="lost or moved between phases" if what != "lost" else r"\d+ records \(sizes\) were sent .* but \d+ arrived"):  # fmt: skip
        in_this_process(run, SIZES, between=damage)


def test_what_an_earlier_corpus_stands_for_counts_nowhere(
    make_run: MakeRun, in_this_process: Deduplicate, varied: list[Document]
) -> None:
    old, new = make_run(varied[::2], name="old"), make_run(varied[1::2], name="new")
    in_this_process(old, DedupConfig(keep_signatures=True))
    counts = in_this_process(new, replace(SIZES, against=(f"{old}/signatures",))).counts
    sizes = {one.id: one.cluster_size for one in kept(new)}
    assert sizes == expected(new)
    own = [row for row in rejections(new) if row["reason"] in CLUSTERED and row["duplicate_of"] in sizes]
    assert sum(sizes.values()) == len(sizes) + len(own)
    assert len(own) < counts["rejected"] - counts.get("rejected/dedup/same_page", 0)


def test_a_size_goes_with_a_survivor_that_is_changed(
    make_run: MakeRun, in_this_process: Deduplicate, varied: list[Document]
) -> None:
    """Passages are taken out of its text; where nothing is left, it is a rejection, and its cluster is gone."""
    run = make_run([*varied, *(document(f"same line\nown line {n}", f"http://p/{n}") for n in range(3))])
    passages = PassagesConfig(action="remove", min_documents=2, min_words=2)
    in_this_process(run, replace(SIZES, passages=passages))
    assert {one.id: one.cluster_size for one in kept(run)} == expected(run)
    assert "own line 0" in {one.text for one in kept(run)}


def test_at_a_shell(tmp_path: Path) -> None:
    long = "a text that is long enough to have shingles of its own, as they are compared, " * 3
    texts = [long, "short", long.upper(), "other", "SHORT", long + " and more"]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps({"text": text, "n": n}) + "\n" for n, text in enumerate(texts)))

    def passed(config: DedupConfig) -> list[dict[str, Any]]:
        deduplicate_records(str(source), str(target), config)
        return [json.loads(line) for line in target.read_text().splitlines()]

    assert [(row["n"], row["cluster_size"]) for row in passed(SIZES)] == [(0, 3), (1, 2), (3, 1)]
    assert not [row for row in passed(DedupConfig()) if "cluster_size" in row]


def test_no_documents(make_run: MakeRun, in_this_process: Deduplicate) -> None:
    assert in_this_process(make_run([]), SIZES).num_records == 0
    run = make_run([document("one alone")], name="one")
    in_this_process(run, SIZES)
    assert [one.cluster_size for one in kept(run)] == [1]
    assert np.dtype(SIZE).itemsize % 8 == 0  # what is sent and what arrives is summed
