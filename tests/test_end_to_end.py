"""A whole run on a small folder of pages, from files to a scored model: what people see, and that it is true."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from markupsafe import escape

from jobs import ledger, times, verify
from pipeline import manifests, storage
from tests import corpora
from tests.commands import Commands
from tests.runs import Made, contents, rows, written

pytestmark = pytest.mark.xdist_group("runs")


def test_every_page_is_a_document_or_a_rejection(made: Made) -> None:
    ledger.check(str(made.run))
    ids = [row["id"] for row in rows(made.run, "pages")]
    kept = [row["id"] for row in rows(made.run, "documents")]
    rejected = [row["id"] for dataset in ("rejected/filter", "rejected/dedup") for row in rows(made.run, dataset)]
    assert len(ids) == len(made.records)
    assert sorted(ids) == sorted(kept + rejected)


def test_pages_meet_their_fates(made: Made) -> None:
    kept = {row["url"].split("/")[-2] for row in rows(made.run, "documents")}
    assert "good" in kept
    assert not kept & {"junk", "short"}
    reasons = {row["url"].split("/")[-2]: row["reason"] for row in rows(made.run, "rejected/filter")}
    assert reasons["short"] == "gopher_quality.too_few_words"
    assert "junk" in reasons
    duplicates = rows(made.run, "rejected/dedup")
    assert {row["reason"] for row in duplicates} == {"exact_duplicate", "near_duplicate"}
    survivors = {row["id"] for row in rows(made.run, "documents")}
    assert all(row["duplicate_of"] in survivors for row in duplicates)
    assert all(row["value"] >= row["threshold"] for row in duplicates if row["reason"] == "near_duplicate")


def test_most_good_pages_survive(made: Made) -> None:
    good = sum(record["fate"] == "good" for record in made.records)
    assert len(rows(made.run, "documents")) >= 0.75 * good


def test_the_run_verifies(made: Made) -> None:
    assert "the ledger closes" in verify.main(str(made.run))


def test_the_report_stands_alone(made: Made) -> None:
    html = (made.run / "report.html").read_text("utf-8")
    assert "gopher_quality.too_few_words" in html
    assert "bits per byte" in html
    assert "<script" not in html
    assert 'src="http' not in html


def test_the_report_shows_what_was_kept_and_what_to_do_next(made: Made) -> None:
    html = (made.run / "report.html").read_text("utf-8")
    kept = rows(made.run, "documents")[0]
    first = next(line for line in kept["text"].splitlines() if line.strip())
    assert str(escape(first))[:60] in html
    assert f"corpusmill verify {made.run}" in html
    assert f"corpusmill explain {made.run} {kept['url']}" in html
    took = times.seconds(str(made.run))
    assert list(took) == ["ingest", "curate", "count", "train_tokenizer", "pack", "train", "evaluate"]
    assert "score the model" in html


def test_a_job_that_is_up_to_date_keeps_its_time(copy: Callable[[], Made], commands: Commands) -> None:
    mine = copy()
    storage.write_json(str(mine.run / "logs/seconds.json"), {"pack": 77.0, "count": 5.0})
    assert commands.run("pack", mine.settings).code == 0
    assert times.seconds(str(mine.run)) == {"count": 5.0, "pack": 77.0}
    assert commands.run("pack", mine.settings, "--set", "pack.sequence_length=32").code == 0
    assert times.seconds(str(mine.run))["pack"] < 77.0


def test_scores_stand_beside_baselines(made: Made) -> None:
    scores = json.loads((made.run / "evaluation/scores.json").read_text("utf-8"))
    assert 0 < scores["heldout"]["bits_per_byte"] < 8
    assert scores["ngram"]["2"]["bits_per_byte"] < scores["ngram"]["1"]["bits_per_byte"]
    assert scores["heldout"]["bytes"] == manifests.read_manifest(str(made.run / "shards")).counts["heldout/text_bytes"]


def test_the_same_command_again_does_nothing(made: Made, commands: Commands) -> None:
    before = written(made.run)
    ended = commands.run("run", made.settings)
    assert ended.code == 0, ended.err
    assert ended.err.count("up to date") == 8
    assert written(made.run) == before


def test_only_what_depends_on_a_changed_setting_is_redone(copy: Callable[[], Made], commands: Commands) -> None:
    mine = copy()
    before = contents(mine.run, ("shards", "tokenizer", "documents", "pages", "filtered"))
    times = written(mine.run)
    ended = commands.run("pack", mine.settings, "--set", "pack.sequence_length=128")
    assert ended.code == 0, ended.err
    changed = contents(mine.run, ("shards", "tokenizer", "documents", "pages", "filtered"))
    assert {name.split("/")[0] for name in before if before[name] != changed.get(name)} == {"shards"}
    ended = commands.run("curate", mine.settings, "--set", "filter.gopher_quality.min_words=150")
    assert ended.code == 0, ended.err
    later = written(mine.run)
    redone = {name.split("/")[0] for name in later if later[name] != times.get(name)}
    assert redone == {"filtered", "measures", "rejected", "documents", "duplicates", "shards"}
    assert all(later[name] == times[name] for name in later if name.startswith("rejected/pages"))
    assert len(rows(mine.run, "filtered")) < before.__len__() + len(rows(mine.run, "pages"))


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        ("good", ["page ", "kept ", "shard row"]),
        ("junk", ["page ", "rejected   by filter"]),
        ("duplicate", ["page ", "rejected   by dedup: exact_duplicate", "duplicate of"]),
    ],
)
def test_explain_tells_what_became_of_a_page(made: Made, commands: Commands, fate: str, expected: list[str]) -> None:
    urls = {
        "good": [row["url"] for row in rows(made.run, "documents")],
        "junk": [row["url"] for row in rows(made.run, "rejected/filter")],
    }
    urls["duplicate"] = [row["url"] for row in rows(made.run, "rejected/dedup") if row["reason"] == "exact_duplicate"]
    ended = commands.run("explain", made.run, urls[fate][0])
    assert ended.code == 0, ended.err
    assert all(text in ended.out for text in expected), ended.out


def test_explain_knows_ids_too(made: Made, commands: Commands) -> None:
    row = rows(made.run, "documents")[0]
    assert row["url"] in commands.run("explain", made.run, row["id"]).out


def test_generate_continues_a_prompt(made: Made, commands: Commands) -> None:
    ended = commands.run(
        "generate", made.run, "--prompt", "The function", "--set", "max_tokens=5", "--set", "temperature=0"
    )
    assert ended.code == 0, ended.err
    assert ended.out.startswith("The function")
    again = commands.run(
        "generate", made.run, "--prompt", "The function", "--set", "max_tokens=5", "--set", "temperature=0"
    )
    assert again.out == ended.out


def test_tokens_name_their_pages(made: Made, commands: Commands) -> None:
    ended = commands.run("tokens", made.run, "--rows", "2")
    assert ended.code == 0, ended.err
    assert "https://example.org/" in ended.out


def test_filters_of_a_shell(made: Made, commands: Commands, tmp_path: Path) -> None:
    """extract | langid | filter | classify | mask | dedup | tokenize | pack, each reading what the one before wrote."""
    tokenizer = made.run / "tokenizer/tokenizer.json"
    source = corpora.write_jsonl(tmp_path / "0.jsonl.gz", made.records[:60])
    names = ("extract", "langid", "filter", "classify", "mask", "dedup")
    counts = [60]
    for number, name in enumerate(names, 1):
        suffix = (".jsonl.zst", ".jsonl", ".jsonl.gz")[number % 3]
        target = tmp_path / f"{number}{suffix}"
        ended = commands.run(
            name, source, target, "--rejected", tmp_path / f"{number}.rejected.jsonl", "--set", "extract.isolate=false"
        )
        assert ended.code == 0, ended.err
        kept, rejected = _lines(target), _lines(tmp_path / f"{number}.rejected.jsonl")
        assert len(kept) + len(rejected) == counts[-1], f"{name} loses records"
        assert all({"stage", "reason"} <= set(record) for record in rejected)
        counts.append(len(kept))
        source = target
    assert counts[2] > counts[3] > counts[6] > 0, f"filter and dedup take nothing away: {counts}"
    ended = commands.run("tokenize", source, tmp_path / "tokens.jsonl", "--tokenizer", tokenizer)
    assert ended.code == 0, ended.err
    ended = commands.run(
        "pack",
        tmp_path / "tokens.jsonl",
        tmp_path / "rows.jsonl.zst",
        "--tokenizer",
        tokenizer,
        "--set",
        "pack.sequence_length=64",
    )
    assert ended.code == 0, ended.err
    packed = _lines(tmp_path / "rows.jsonl.zst")
    assert all(len(row["tokens"]) == 65 for row in packed)


def _lines(path: Path) -> list[dict[str, object]]:
    from pipeline.jsonl import read_records

    return [dict(record) for record in read_records(str(path))]
