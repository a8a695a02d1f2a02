"""The whole stage on disk: conservation, the same bytes however it runs, and what is found out when it goes wrong."""

import logging
import os
import pickle
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.dedup import deduplicate_run
from jobs.engine import Engine
from pipeline.dedup.bands import BAND
from pipeline.dedup.candidates import PAIR, WANTED
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.exchange import ExchangeFile, read_exchange, write_exchange
from pipeline.dedup.passages_config import PassagesConfig
from pipeline.dedup.shingles import shingle_hashes
from pipeline.dedup.signatures import IDENTITY
from pipeline.dedup.verify import EDGE
from pipeline.errors import CorpusmillError, DataError
from pipeline.manifests import Manifest, write_manifest
from pipeline.places import join
from pipeline.records import Document, page_id
from pipeline.storage import read_json
from pipeline.tables import TableWriter, measures_schema, read_documents, read_rows

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


EVERYTHING = DedupConfig(keep_signatures=True, passages=PassagesConfig(action="remove", min_documents=2, min_words=2))
BY_STARS = replace(EVERYTHING, max_pairs_in_memory=0)  # components by star rounds: many more pipelines
ENGINES = [
    pytest.param(
        Engine(beam_args=("--direct_runner_bundle_repeat=2",)), BY_STARS, id="each bundle twice", marks=pytest.mark.slow
    ),
    pytest.param(
        Engine(beam_args=("--direct_running_mode=multi_threading", "--direct_num_workers=3")),
        EVERYTHING,
        id="bundles of a third",
    ),
    pytest.param(Engine(workers=3), EVERYTHING, id="3 workers", marks=pytest.mark.slow),
]


def run_alone(run: str, config: DedupConfig, engine: Engine) -> None:
    """Deduplicates in a process of its own: threads that an engine leaves behind are no ground to fork workers from."""
    code = "import pickle, sys; from jobs.dedup import deduplicate_run as run; run(*pickle.loads(bytes.fromhex(sys.argv[1])))"
    arguments = pickle.dumps((run, config, engine)).hex()
    done = subprocess.run([sys.executable, "-c", code, arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("engine", "config"), ENGINES)
def test_the_same_bytes_for_any_number_of_workers_and_size_of_bundles(
    make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document], engine: Engine, config: DedupConfig
) -> None:
    runs = [make_run(corpus, name=name, per_part=21) for name in ("one", "many")]
    in_this_process(runs[0], config)
    run_alone(runs[1], config, engine)
    outputs = ("documents", "duplicates", "rejected", "signatures", "passages")
    assert len(bytes_of(runs[0], *outputs)) > 20
    assert bytes_of(runs[0], *outputs) == bytes_of(runs[1], *outputs)


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


@pytest.mark.parametrize("config", [DedupConfig(), DedupConfig(one_per_address=True)], ids=["by text", "by address"])
def test_small_partitions_and_blocks_change_nothing(
    make_run: MakeRun,
    in_this_process: Deduplicate,
    corpus: list[Document],
    monkeypatch: pytest.MonkeyPatch,
    config: DedupConfig,
) -> None:
    runs = [make_run(corpus, name=name) for name in ("usual", "small")]
    in_this_process(runs[0], config)
    for name, value in (
        ("pipeline.dedup.plan._PARTITION_RECORDS", 50),
        ("pipeline.dedup.plan.MERGED_FILES", 2),
        ("pipeline.dedup.merging._MERGE_BYTES", 1000),
        ("pipeline.dedup.joining._SLICE_PAIRS", 2),
        ("pipeline.dedup.verify._GAP_BYTES", 0),
        ("pipeline.dedup.exchange._BLOCK_BYTES", 300),
        ("pipeline.dedup.candidates._CHUNK_PAIRS", 3),
        ("pipeline.dedup.verify._CHUNK_PAIRS", 4),
        ("pipeline.dedup.verify._CHUNK_BYTES", 4000),
        ("pipeline.dedup.signatures._BATCH_ROWS", 3),
        ("pipeline.dedup.index._BATCH_ROWS", 4),
    ):
        monkeypatch.setattr(name, value)
    in_this_process(runs[1], config)
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
    from pipeline.dedup.clusters import NEAR
    from pipeline.dedup.exact import DUPLICATE

    run, dtype = make_run(corpus), {"near": NEAR, "equals": DUPLICATE, "pairs": PAIR}[kind]

    def damage(name: str) -> None:
        if name == {"near": "apply", "equals": "apply", "pairs": "verify"}[kind]:
            path = str(Path(run, "attempts/dedup/work", kind, "00000.bin"))
            records, destinations = everything(path, dtype, len(list(Path(run, "filtered").glob("*.parquet"))))
            records[field][0] ^= 256 if kind == "pairs" else 1
            write_exchange(path, records, destinations, int(destinations.max()) + 1)

    with pytest.raises(DataError, match=sentence):
        in_this_process(run, between=damage)


def everything(path: str, dtype: Any, destinations: int) -> tuple[Any, Any]:
    """All records of an exchange file, and the destination of each."""
    found = [read_exchange(path, dtype, place) for place in range(destinations)]
    return np.concatenate(found), np.repeat(np.arange(destinations), [len(one) for one in found])


# What each row does to one whole exchange file, which still looks sound, and what the job then says.
LOST = r"records \({kind}\) were sent between the phases of dedup, but \d+ arrived"
OTHERS = r"the records \({kind}\) that arrived between the phases of dedup are not those that were sent"
MOVED = r"a record \({kind}\) for \d+ arrived at \d+: it moved between phases"
CHANGES: dict[str, tuple[Callable[[Any, Any], tuple[Any, Any]], str]] = {
    "one is lost": (lambda records, places: (records[1:], places[1:]), LOST),
    "one comes twice": (
        lambda records, places: (records[[0, *range(len(records))]], places[[0, *range(len(places))]]),
        LOST,
    ),
    "one in the place of another": (
        lambda records, places: (records[[1, *range(1, len(records))]], places),
        f"{OTHERS}|{MOVED}",
    ),
    "one at another place": (lambda records, places: (records, np.roll(places, 1)), MOVED),
}


EXCHANGES: dict[str, tuple[str, Any]] = {
    "by_id": ("captures", IDENTITY),
    "by_text": ("exact", IDENTITY),
    "bands": ("candidates", BAND),
    "pairs": ("verify", PAIR),
    "wanted": ("shingles", WANTED),
    "edges": ("clusters", EDGE),
}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (kind, change)
        for kind in EXCHANGES
        for change in CHANGES
        if (kind, change) != ("edges", "one at another place")  # they all have one destination
    ],
)
def test_a_record_that_an_exchange_lost_or_changed_is_found_out(
    make_run: MakeRun,
    in_this_process: Deduplicate,
    corpus: list[Document],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    change: str,
) -> None:
    """The file is whole, but what arrives is not what was sent: nothing else would notice a duplicate that is missed."""
    monkeypatch.setattr("pipeline.dedup.plan._PARTITION_RECORDS", 50)
    run, (changed, sentence), (phase, dtype) = make_run(corpus), CHANGES[change], EXCHANGES[kind]

    def damage(name: str) -> None:
        if name == phase:
            path = max(Path(run, "attempts/dedup/work", kind).glob("*.bin"), key=lambda found: found.stat().st_size)
            with path.open("rb") as file:
                destinations = ExchangeFile(str(path), file).num_destinations
            records, places = everything(str(path), dtype, destinations)
            write_exchange(str(path), *changed(records, places), destinations)

    with pytest.raises(DataError) as caught:
        in_this_process(run, between=damage)
    # A pair or a candidate that is missing may be noticed by who misses it before the sums are compared.
    lost = "it was lost between phases" in str(caught.value) and kind in ("pairs", "wanted")
    assert lost or re.search(sentence.format(kind=kind), str(caught.value))
    assert not Path(run, "documents", "manifest.json").exists()


def test_files_of_two_parts_that_changed_places_are_found_out(
    make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document]
) -> None:
    """The bands of one part in the place of another's: as many records, each where it belongs."""
    run = make_run(corpus[:40], per_part=10)

    def replace(name: str) -> None:
        if name == "candidates":
            files = sorted(
                Path(run, "attempts", "dedup", "work", "bands").glob("*.bin"), key=lambda path: path.stat().st_size
            )
            same = next((a, b) for a, b in pairwise(files) if a.stat().st_size == b.stat().st_size)
            same[0].write_bytes(same[1].read_bytes())

    with pytest.raises(DataError, match=OTHERS.format(kind="bands")):
        in_this_process(run, between=replace)


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


def write_measures(run: str, parts: list[list[Document]], quality: dict[str, float | None]) -> None:
    """The dataset measures/ of a run, with the measure `quality` by id."""
    entries, folder = [], join(run, "measures")
    for part, rows in enumerate(parts):
        with TableWriter(join(folder, f"part-{part:05d}.parquet"), measures_schema(["quality"])) as table:
            for one in rows:
                table.append({"id": one.id, "decision": "kept", "quality": quality[one.id]})
        entries.append(table.entry().relative_to(folder))
    write_manifest(folder, Manifest(kind="measures", fingerprint="x", files=tuple(entries)))


def test_the_survivor_of_the_highest_measure(make_run: MakeRun, in_this_process: Deduplicate) -> None:
    run = make_run(NEAR, per_part=2)
    quality: dict[str, float | None] = dict(zip((one.id for one in NEAR), (0.5, 0.9, None), strict=True))
    write_measures(run, [NEAR[:2], NEAR[2:]], quality)
    in_this_process(run, DedupConfig(survivor="best_measure", survivor_measure="quality"))
    assert [one.url for one in kept(run)] == ["http://x/2"]
    with pytest.raises(DataError, match="no measure 'beauty'"):
        in_this_process(run, DedupConfig(survivor="best_measure", survivor_measure="beauty"))


@pytest.mark.parametrize(
    "settings",
    [
        {"survivor": "earliest"},
        {"survivor": "longest"},
        {"survivor": "preferred_source", "preferred_sources": ("origin", "mirror")},
        {"survivor": "best_measure", "survivor_measure": "quality"},
    ],
    ids=lambda settings: str(settings["survivor"]),
)
@pytest.mark.parametrize("tails", [("", "  ", " \n"), ("", " tail", " tale")], ids=["equal", "near"])
def test_the_smallest_id_decides_between_the_best(
    make_run: MakeRun, in_this_process: Deduplicate, settings: dict[str, Any], tails: tuple[str, ...]
) -> None:
    """The smallest id of all is worst by the policy, the two others are equally good; in any order and split."""
    found = sorted((doc(f"http://t/{number}", "") for number in range(3)), key=lambda one: one.id)
    found = [
        replace(one, text=" ".join(WORDS) + tail, date=date, source=source)
        for one, tail, date, source in zip(
            found, tails, ("2021", "2019-03-04", "2019-03-04"), ("other", "origin", "origin"), strict=True
        )
    ]
    quality: dict[str, float | None] = dict(zip((one.id for one in found), (0.1, 0.9, 0.9), strict=True))
    for place, order in enumerate(permutations(found)):
        per_part = 1 + place % 3
        run = make_run(order, per_part=per_part, name=f"run {place}")
        write_measures(run, [list(order[at : at + per_part]) for at in range(0, 3, per_part)], quality)
        in_this_process(run, DedupConfig(**settings))
        assert [one.id for one in kept(run)] == [found[1].id]
        assert {row["id"]: row["duplicate_of"] for row in rejections(run)} == dict.fromkeys(
            (found[0].id, found[2].id), found[1].id
        )


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


def test_one_of_each_address(
    make_run: MakeRun, in_this_process: Deduplicate, corpus: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two archives of the same site the later one, whatever the texts; then texts are compared, with an index too."""
    earlier = [replace(one, source="2023") for one in corpus]
    later = [doc(one.url.replace("http:", "https:"), one.text + " changed since", source="2024") for one in corpus]
    config = DedupConfig(one_per_address=True, survivor="preferred_source", preferred_sources=("2024", "2023"))
    runs = [
        make_run([*earlier, *later], name="parts", per_part=7),
        make_run([*earlier, *later], name="whole", per_part=999),
    ]
    manifests = [in_this_process(runs[0], config)]
    monkeypatch.setattr("pipeline.dedup.plan._PARTITION_RECORDS", 60)  # many ranges of keys and of text hashes
    manifests.append(in_this_process(runs[1], config))
    assert manifests[0].counts["kept"] == manifests[1].counts["kept"]
    by_id = {one.id: one for one in (*earlier, *later)}
    for run in runs:
        survivors, rejected = kept(run), rejections(run)
        assert Counter(one.id for one in survivors) + Counter(row["id"] for row in rejected) == Counter(
            one.id for one in (*earlier, *later)
        )
        assert {one.source for one in survivors} == {"2024"}
        addresses = [one.url for one in survivors]
        assert len(addresses) == len(set(addresses))
        again = [row for row in rejected if row["reason"] == "same_address"]
        assert len(again) == len({one.id for one in earlier}) + 4  # four pages were captured twice
        assert all(
            by_id[row["id"]].url.partition(":")[2] == by_id[row["duplicate_of"]].url.partition(":")[2] for row in again
        )
    new = make_run([*later[:9], doc("http://new.org/", "of no earlier corpus")], name="new")
    in_this_process(runs[0], replace(config, keep_signatures=True))
    index = str(Path(runs[0], "signatures"))
    in_this_process(new, DedupConfig(one_per_address=True, against=(index,)))
    assert [one.url for one in kept(new)] == ["http://new.org/"]
    assert all("earlier corpus" in row["detail"] for row in rejections(new) if row["reason"] != "same_page")


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
