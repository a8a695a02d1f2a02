"""The whole stage on disk: conservation, the same bytes however it runs, and what is found out when it goes wrong."""

import logging
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.dedup import deduplicate_run
from jobs.engine import Engine
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.shingles import shingle_hashes
from pipeline.errors import CorpusmillError, DataError
from pipeline.records import Document, page_id
from pipeline.storage import Manifest, read_json
from pipeline.tables import read_documents, read_rows

MakeRun = Callable[..., str]
Deduplicate = Callable[..., Manifest]


def bytes_of(run: str, *datasets: str) -> dict[str, bytes]:
    """The files of the outputs, by path inside the run."""
    root = Path(run)
    wanted = datasets or ("documents", "duplicates", "rejected")
    return {
        str(p.relative_to(root)): p.read_bytes()
        for name in wanted
        for p in sorted((root / name).rglob("*"))
        if p.is_file()
    }


def kept(run: str) -> list[Document]:
    return [one for path in sorted(Path(run, "documents").glob("*.parquet")) for one in read_documents(str(path))]


def rejections(run: str) -> list[dict[str, Any]]:
    return [row for path in sorted(Path(run, "rejected/dedup").glob("*.parquet")) for row in read_rows(str(path))]


def test_each_document_leaves_once_and_names_a_survivor(
    make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document]
) -> None:
    run = make_run(corpus)
    manifest = in_this_process(run)
    survivors, rejected = kept(run), rejections(run)

    left = Counter(one.id for one in survivors) + Counter(row["id"] for row in rejected)
    assert left == Counter(one.id for one in corpus)
    places = {one.id: place for place, one in reversed(list(enumerate(corpus)))}
    assert [places[one.id] for one in survivors] == sorted(places[one.id] for one in survivors)
    counts = manifest.counts
    assert (counts["read"], counts["kept"], counts["rejected"]) == (len(corpus), len(survivors), len(rejected))
    reasons = Counter(row["reason"] for row in rejected)
    assert {f"rejected/dedup/{reason}": count for reason, count in reasons.items()} == {
        name: count for name, count in counts.items() if name.startswith("rejected/")
    }
    assert reasons["same_page"] == 4
    assert reasons["exact_duplicate"] + reasons["near_duplicate"] == 20 + 14 + 25  # near copies, upper case, short ones

    ids, by_id = {one.id for one in survivors}, {one.id: one for one in corpus}
    for row in rejected:
        if row["reason"] == "same_page":
            assert row["duplicate_of"] == row["id"]
            continue
        assert row["duplicate_of"] in ids
        first, second = (set(shingle_hashes(by_id[row[name]].text).tolist()) for name in ("id", "duplicate_of"))
        assert row["value"] == (len(first & second) / len(first | second) if first | second else 1.0)
        assert row["threshold"] == (0.75 if row["reason"] == "near_duplicate" else None)
        assert row["value"] >= 0.75
    normalised = [" ".join(one.text.lower().split()) for one in survivors]
    assert len(set(normalised)) == len(normalised)
    assert not Path(run, "attempts", "dedup").exists()


def test_the_same_bytes_again_and_up_to_date(
    make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document]
) -> None:
    runs = [make_run(corpus, name=name) for name in ("by the job", "by hand")]
    deduplicate_run(runs[0], DedupConfig(), Engine())
    in_this_process(runs[1])
    assert bytes_of(runs[0]) == bytes_of(runs[1])
    before = {path: os.stat(Path(runs[0], path)).st_mtime_ns for path in bytes_of(runs[0])}
    deduplicate_run(runs[0], DedupConfig(), Engine())
    assert before == {path: os.stat(Path(runs[0], path)).st_mtime_ns for path in bytes_of(runs[0])}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 5])
def test_the_same_bytes_for_any_number_of_workers(
    make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document], workers: int
) -> None:
    runs = [make_run(corpus, name=name, per_part=7) for name in ("one", "many")]
    in_this_process(runs[0])
    deduplicate_run(runs[1], DedupConfig(), Engine(workers=workers))
    assert bytes_of(runs[0]) == bytes_of(runs[1])


@pytest.mark.parametrize("per_part", [7, 1000])
def test_shuffled_and_otherwise_split_inputs_have_the_same_survivors(
    make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document], per_part: int
) -> None:
    first, shuffled = make_run(corpus, name="first"), corpus.copy()
    random.Random(3).shuffle(shuffled)
    second = make_run(shuffled, name="second", per_part=per_part)
    in_this_process(first)
    in_this_process(second)
    assert {one.id for one in kept(first)} == {one.id for one in kept(second)}
    told = [
        {(row["id"], row["reason"], row["duplicate_of"], row["value"]) for row in rejections(run)}
        for run in (first, second)
    ]
    assert told[0] == told[1]


def test_small_partitions_and_blocks_change_nothing(
    make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(corpus, name=name) for name in ("usual", "small")]
    in_this_process(runs[0])
    for name, value in (
        ("pipeline.dedup.plan._PARTITION_RECORDS", 50),
        ("pipeline.dedup.exchange._BLOCK_BYTES", 300),
        ("pipeline.dedup.candidates._CHUNK_PAIRS", 3),
        ("pipeline.dedup.verify._CHUNK_PAIRS", 4),
        ("pipeline.dedup.verify._CHUNK_BYTES", 4000),
        ("pipeline.dedup.signatures._BATCH_ROWS", 3),
        ("pipeline.dedup.index._BATCH_ROWS", 4),
    ):
        monkeypatch.setattr(name, value)
    in_this_process(runs[1])
    assert bytes_of(runs[0], "documents", "rejected").keys() == bytes_of(runs[1], "documents", "rejected").keys()
    same = {path for path, content in bytes_of(runs[0]).items() if bytes_of(runs[1])[path] == content}
    assert {
        path for path in bytes_of(runs[0]) if not path.endswith("manifest.json")
    } <= same  # manifests count partitions' work


# What each row damages between two phases, and what the job then says.
def lose_a_document(run: str) -> None:
    _rewrite(run, lambda table: table.slice(1))


def swap_two_documents(run: str) -> None:
    _rewrite(run, lambda table: table.take([1, 0, *range(2, table.num_rows)]))


def change_a_text(run: str) -> None:
    def changed(table: Any) -> Any:
        texts = table.column("text").to_pylist()
        return table.set_column(2, table.schema.field(2), [[texts[0] + " more", *texts[1:]]])

    _rewrite(run, changed)


def add_a_document(run: str) -> None:
    import pyarrow as pa

    _rewrite(run, lambda table: pa.concat_tables([table, table.slice(0, 1)]))


def _rewrite(run: str, change: Callable[[Any], Any]) -> None:
    path = Path(run, "filtered", "part-00002.parquet")
    pq.write_table(change(pq.read_table(path)), path)


@pytest.mark.parametrize("phase", ["captures", "bands", "shingles", "apply"])
@pytest.mark.parametrize("damage", [lose_a_document, swap_two_documents, change_a_text, add_a_document])
def test_a_record_lost_or_moved_between_phases_is_found_out(
    make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document], phase: str, damage: Callable[[str], None]
) -> None:
    run = make_run(corpus)
    with pytest.raises(DataError, match=r"part-00002.parquet") as caught:
        in_this_process(run, between=lambda name: damage(run) if name == phase else None)
    assert "\n" not in str(caught.value)
    assert not Path(run, "documents", "manifest.json").exists()


@pytest.mark.parametrize(
    ("kind", "field", "sentence"),
    [
        ("near", "ref", "about which there is a decision"),  # a decision that moved to another row
        ("equals", "id_low", "about which there is a decision"),  # … or is about another document
        ("pairs", "a", "it was lost between phases"),
    ],
)
def test_a_decision_that_moved_is_found_out(
    make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document], kind: str, field: str, sentence: str
) -> None:
    from pipeline.dedup.candidates import PAIR
    from pipeline.dedup.clusters import NEAR
    from pipeline.dedup.exact import DUPLICATE

    run, dtype = make_run(corpus), {"near": NEAR, "equals": DUPLICATE, "pairs": PAIR}[kind]

    def damage(name: str) -> None:
        if name == {"near": "apply", "equals": "apply", "pairs": "verify"}[kind]:
            path = Path(run, "attempts/dedup/work", kind, "00000.bin")
            content = bytearray(path.read_bytes())
            content[dtype.fields[field][1] + (kind == "pairs")] ^= 1  # type: ignore[index]  # of the first record
            path.write_bytes(content)

    with pytest.raises(DataError, match=sentence):
        in_this_process(run, between=damage)


def test_a_failure_in_a_worker_is_one_sentence(make_run: MakeRun, corpus: list[Document]) -> None:
    run = make_run(corpus)
    Path(run, "filtered", "part-00001.parquet").write_bytes(b"no parquet")
    with pytest.raises(CorpusmillError, match=r"part-00001\.parquet is not readable as Parquet"):
        deduplicate_run(run, DedupConfig(), Engine())
    assert not Path(run, "documents", "manifest.json").exists()


def doc(url: str, text: str, **fields: Any) -> Document:
    return Document(id=page_id(url, text.encode()), url=url, text=text, **fields)


WORDS = [f"w{number}" for number in range(100)]
NEAR = [
    doc("http://x/1", " ".join(WORDS), date="2020-05-01", source="mirror"),
    doc("http://x/2", " ".join([*WORDS, "tail"]), date="2019", source="origin"),
    doc("http://x/3", " ".join([*WORDS, "tail", "more", "words"]), date="", source="other"),
]


@pytest.mark.parametrize(
    ("settings", "survivor"),
    [
        ({}, min(one.id for one in NEAR)),
        ({"survivor": "earliest"}, NEAR[1].id),
        ({"survivor": "longest"}, NEAR[2].id),
        ({"survivor": "preferred_source", "preferred_sources": ("absent", "mirror", "other")}, NEAR[0].id),
    ],
)
def test_survivor_policies(
    make_run: MakeRun, in_this_process: Deduplicate, settings: dict[str, Any], survivor: str
) -> None:
    for order in (NEAR, NEAR[::-1]):
        run = make_run(order, per_part=2, name=f"run {order[0].url[-1]}")
        in_this_process(run, DedupConfig(**settings))
        assert [one.id for one in kept(run)] == [survivor]


def test_the_survivor_of_the_highest_measure(make_run: MakeRun, in_this_process: Deduplicate) -> None:
    from pipeline.storage import join, write_manifest
    from pipeline.tables import TableWriter, measures_schema

    run, entries = make_run(NEAR, per_part=2), []
    for part, rows in enumerate((NEAR[:2], NEAR[2:])):
        with TableWriter(join(run, "measures", f"part-{part:05d}.parquet"), measures_schema(["quality"])) as table:
            for one in rows:
                table.append(
                    {"id": one.id, "decision": "kept", "quality": {"1": 0.5, "2": 0.9, "3": None}[one.url[-1]]}
                )
        entries.append(table.entry().relative_to(join(run, "measures")))
    write_manifest(join(run, "measures"), Manifest(kind="measures", fingerprint="x", files=tuple(entries)))
    in_this_process(run, DedupConfig(survivor="best_measure", survivor_measure="quality"))
    assert [one.url for one in kept(run)] == ["http://x/2"]
    with pytest.raises(DataError, match="no measure 'beauty'"):
        in_this_process(run, DedupConfig(survivor="best_measure", survivor_measure="beauty"))


def test_documents_too_short_for_shingles_are_compared_exactly_only(
    make_run: MakeRun, in_this_process: Deduplicate
) -> None:
    texts = ["", " ", "!", "one", "One", "one two three four", "one two three five", "中文", "中文", "。"]
    run = make_run([doc(f"http://s/{place}", text) for place, text in enumerate(texts)])
    manifest = in_this_process(run)
    assert sorted(one.text.strip().lower() for one in kept(run)) == [
        "",
        "!",
        "one",
        "one two three five",
        "one two three four",
        "。",
        "中文",
    ]
    assert manifest.counts["too_short_for_shingles"] == 7


def test_a_page_captured_twice_with_another_reading(make_run: MakeRun, in_this_process: Deduplicate) -> None:
    """One page under two charsets: the same id, two texts. The second goes; nothing survives only through it."""
    page = doc("http://p/1", "some text about cafés and more")
    other = Document(id=page.id, url=page.url, text="some text about cafÃ©s and more")
    copy = doc("http://p/2", other.text)
    run = make_run([page, other, copy], per_part=1)
    in_this_process(run)
    assert [one.url for one in kept(run)] == ["http://p/1", "http://p/2"]
    assert [(row["reason"], row["duplicate_of"]) for row in rejections(run)] == [("same_page", page.id)]


def test_giant_clusters_raise_an_alarm(
    make_run: MakeRun, in_this_process: Deduplicate, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run([doc(f"http://g/{place}", " ".join([*WORDS, str(place)])) for place in range(30)])
    with caplog.at_level(logging.WARNING):
        manifest = in_this_process(run, DedupConfig(alarm_cluster_size=20, max_bucket=8))
    assert "1 clusters have more than 20 documents" in caplog.text
    assert manifest.counts["largest_cluster"] == 30
    report = read_json(str(Path(run, "duplicates", "clusters.json")))
    assert report["clusters_by_size"] == {"30": 1}
    assert report["largest"] == [{"survivor": kept(run)[0].id, "documents": 30}]


def test_exact_only(make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document]) -> None:
    run = make_run(corpus)
    manifest = in_this_process(run, DedupConfig(near=False))
    assert "rejected/dedup/near_duplicate" not in manifest.counts
    assert manifest.counts["rejected/dedup/exact_duplicate"] > 0


def test_an_empty_corpus(make_run: MakeRun, in_this_process: Deduplicate) -> None:
    assert in_this_process(make_run([])).counts["clusters"] == 0


def test_deduplicated_against_kept_signatures(
    make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document]
) -> None:
    old, new = make_run(corpus[::2], name="old"), make_run(corpus[1::2], name="new")
    in_this_process(old, DedupConfig(keep_signatures=True))
    index = str(Path(old, "signatures"))
    in_this_process(new, DedupConfig(against=(index,), keep_signatures=True))

    old_ids, new_ids = {one.id for one in kept(old)}, {one.id for one in kept(new)}
    of_old = [row for row in rejections(new) if row["duplicate_of"] in old_ids]
    assert of_old
    assert all("earlier corpus" in row["detail"] for row in of_old)
    for row in rejections(new):
        assert row["duplicate_of"] in old_ids | new_ids or row["reason"] == "same_page"
        assert row["reason"] != "near_duplicate" or 0.75 <= row["value"] <= 1

    together = make_run(corpus, name="together")
    in_this_process(together)
    survivors = {frozenset(one.text.lower().split()[:50]) for one in kept(together)}
    assert {frozenset(one.text.lower().split()[:50]) for one in [*kept(old), *kept(new)]} == survivors
    assert np.sum([pq.read_metadata(p).num_rows for p in Path(new, "signatures").glob("*.parquet")]) == len(new_ids)


def test_star_rounds_decide_as_one_worker_does(
    make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same survivors, and similarities computed afterwards instead of taken from the pairs."""
    monkeypatch.setattr("jobs.dedup.PAIRS_IN_PARTITION", 5)
    chain = [doc(f"http://l/{n}", " ".join(f"c{w}" for w in range(n * 8, n * 8 + 150))) for n in range(30)]
    runs = [make_run([*corpus, *chain], name=name) for name in ("one worker", "rounds")]
    in_this_process(runs[0])
    in_this_process(runs[1], DedupConfig(max_pairs_in_memory=0))
    documents = [{path: content for path, content in bytes_of(run).items() if "manifest" not in path} for run in runs]
    assert documents[0] == documents[1]
    assert read_json(str(Path(runs[1], "duplicates", "clusters.json")))["largest"][0]["documents"] > 5
