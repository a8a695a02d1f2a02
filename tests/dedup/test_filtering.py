"""The filter for JSON lines: what it keeps, how it calls things, and the same decisions as the stage."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.dedup import filtering
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.filtering import deduplicate_records, found_pairs
from pipeline.dedup.index import read_signatures, take_out
from pipeline.dedup.passages_config import PassagesConfig
from pipeline.errors import DataError, InputError, SettingError
from pipeline.manifests import Manifest
from pipeline.records import Document
from pipeline.tables import read_documents

LONG = "the first record of a cluster is the one that survives with its fields as they were " * 3


def write(path: Path, records: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def read(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_letters_that_no_file_can_hold_end_nothing(tmp_path: Path) -> None:
    """JSON can write half of a pair of surrogates, in an id or address as well as in a text."""
    records = [
        {"id": "\ud800a", "text": LONG, "date": "\udfff"},
        {"url": "http://x/\udfff", "text": LONG, "source": "\ud800"},
    ]
    source, target, refused = (
        write(tmp_path / "in.jsonl", records),
        str(tmp_path / "out.jsonl"),
        str(tmp_path / "no.jsonl"),
    )
    deduplicate_records(source, target, DedupConfig(one_per_address=True), rejected=refused)
    assert read(target) == records[:1]
    assert [(row["id"], row["duplicate_of"]) for row in read(refused)] == [("http://x/?", "?a")]


def test_the_first_of_a_cluster_survives_as_it_was(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"id": "b", "text": LONG, "extra": [1, None]},
        {"url": "http://x/", "text": "something else"},
        {"id": "a", "text": LONG.upper()},
        {"text": LONG + "and more"},
        {"id": 7, "text": "Something  ELSE"},
    ]
    source, target, refused = (
        write(tmp_path / "in.jsonl", records),
        str(tmp_path / "out.jsonl"),
        str(tmp_path / "no.jsonl"),
    )
    counts = deduplicate_records(source, target, rejected=refused)
    assert read(target) == records[:2]
    assert [(row["id"], row["reason"], row["duplicate_of"]) for row in read(refused)] == [
        ("a", "exact_duplicate", "b"),
        ("4", "near_duplicate", "b"),
        (7, "exact_duplicate", "http://x/"),
    ]
    for record, row in zip(records[2:], read(refused), strict=True):  # as `filter` leaves what it refuses
        assert {name: row[name] for name in record} == record
        assert row["stage"] == "dedup"
    near = read(refused)[1]
    assert 0.75 <= near["value"] < 1
    assert near["threshold"] == 0.75
    assert counts == {
        "read": 5, "kept": 2, "rejected": 3, "rejected/dedup/exact_duplicate": 2, "rejected/dedup/near_duplicate": 1,
    }  # fmt: skip


def test_the_address_of_a_record_is_its_url_whatever_its_id_is(tmp_path: Path) -> None:
    records = [
        {"id": "b", "url": "http://example.org/1", "text": "something"},
        {"id": "a", "url": "https://example.org/1#x", "text": "something else"},
        {"id": "http://example.org/1", "text": "an id is no address"},
    ]
    source, refused = write(tmp_path / "in.jsonl", records), str(tmp_path / "no.jsonl")
    config = DedupConfig(one_per_address=True)
    deduplicate_records(source, str(tmp_path / "out.jsonl"), config, rejected=refused)
    assert [(row["id"], row["reason"], row["duplicate_of"]) for row in read(refused)] == [("a", "same_address", "b")]


@pytest.mark.parametrize("part", [1, 7, 1000])
def test_the_same_pairs_for_any_size_of_parts(
    corpus: list[Document], monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    texts = [one.text for one in corpus[:40]]
    expected = found_pairs(texts, DedupConfig())
    monkeypatch.setattr(filtering, "PART_DOCUMENTS", part)
    pairs, gone = found_pairs(texts, DedupConfig())
    assert (sorted(tuple(sorted(pair)) for pair in pairs), gone) == (
        sorted(tuple(sorted(p)) for p in expected[0]),
        expected[1],
    )


def test_what_cannot_be_filtered_is_one_sentence(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    with pytest.raises(InputError, match="record at line 2 has no text in 'text'"):
        deduplicate_records(write(tmp_path / "in.jsonl", [{"text": "a"}, {"html": "b"}]), str(target))
    with pytest.raises(SettingError, match="best_measure"):
        deduplicate_records("in", str(target), DedupConfig(survivor="best_measure", survivor_measure="words"))
    assert not target.exists()
    assert deduplicate_records(write(tmp_path / "empty.jsonl", []), str(target)) == {
        "read": 0,
        "kept": 0,
        "rejected": 0,
    }


def test_against_kept_signatures_and_with_one_taken_out(
    tmp_path: Path, make_run: Callable[..., str], in_this_process: Callable[..., Manifest], corpus: list[Document]
) -> None:
    run = make_run(corpus)
    in_this_process(run, DedupConfig(keep_signatures=True))
    index, smaller = str(Path(run, "signatures")), str(tmp_path / "smaller")
    old = [one for path in sorted(Path(run, "documents").glob("*.parquet")) for one in read_documents(str(path))]
    old = [one for one in old if len(one.text) > 100][:3]
    source = write(tmp_path / "in.jsonl", [{"id": n, "text": one.text + " tail"} for n, one in enumerate(old)])
    target = str(tmp_path / "out.jsonl")
    assert deduplicate_records(source, target, DedupConfig(against=(index,)))["kept"] == 0

    take_out(index, [old[1].id], smaller)
    deduplicate_records(source, target, DedupConfig(against=(smaller,)))
    assert [record["id"] for record in read(target)] == [1]
    assert sum(len(rows) for path in Path(smaller).glob("*.parquet") for rows in read_signatures(str(path))) > 0
    with pytest.raises(InputError, match=f"no signature of 1 of the 2 documents to take out, such as {old[1].id}"):
        take_out(smaller, [old[1].id, old[0].id], str(tmp_path / "again"))
    assert not (tmp_path / "again").exists()
    for target in (index, index + "/", smaller):
        with pytest.raises(InputError, match="holds a dataset already"):
            take_out(index, [old[1].id], target)
    with pytest.raises(DataError, match=r"holds signatures with words = 5, but these settings make 4"):
        deduplicate_records(source, target, DedupConfig(against=(index,), shingle_words=4))


def test_the_first_record_keeps_a_repeated_line(tmp_path: Path) -> None:
    line = "this very line stands in all of them"
    source = write(tmp_path / "in.jsonl", [{"text": f"record {number}\n{line}"} for number in range(3)])
    passages = PassagesConfig(action="remove", min_documents=2, keep_first=True)
    deduplicate_records(source, str(tmp_path / "out.jsonl"), DedupConfig(passages=passages))
    kept = [record["text"] for record in read(str(tmp_path / "out.jsonl"))]
    assert kept == [f"record 0\n{line}", "record 1", "record 2"]
