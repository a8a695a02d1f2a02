"""`corpusmill stats --measure`: means and quantiles that numpy gives, the same for any order of files, in bounded memory."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import cli, spread
from pipeline.atomic import FileEntry
from pipeline.errors import DataError, InputError, SettingError
from pipeline.manifests import Manifest, dataset_files, write_manifest
from pipeline.tables import DOCUMENTS, TableWriter, measures_schema, read_rows

NAN = float("nan")
MEASURES = ("num_words", "stop_words", "threshold_language")


def run_of(
    folder: Path, rows: list[tuple[str, float, float, bool]], per_file: int = 3, *, backwards: bool = False
) -> str:
    """A run of documents: host, two measures, and whether the deduplication kept it."""
    numbered = [(f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:016x}", *row) for number, row in enumerate(rows)]
    starts = list(range(0, len(rows), per_file)) or [0]
    parts = [numbered[start : start + per_file] for start in (reversed(starts) if backwards else starts)]
    for name, schema in (("measures", measures_schema(MEASURES)), ("documents", DOCUMENTS)):
        entries: list[FileEntry] = []
        for number, part in enumerate(parts):
            with TableWriter(str(folder / name / f"part-{number:06d}.parquet"), schema) as table:
                for id, host, words, stops, kept in part:
                    if name == "measures":
                        table.append(
                            {"id": id, "decision": "kept", **dict(zip(MEASURES, (words, stops, 0.0), strict=True))}
                        )
                    elif kept:
                        table.append({"id": id, "url": f"http://{host}/", "text": "x", "language": "en", "source": "s"})
            entries.append(table.entry().relative_to(str(folder / name)))
        write_manifest(str(folder / name), Manifest(kind=name, fingerprint="", files=tuple(entries)))
    return str(folder)


value = st.sampled_from([1.0, 2.5, 7.0, 1e6, NAN])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["a.org", "b.org", "c.org"]), value, value, st.booleans()), max_size=14))
def test_against_numpy(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, float, float, bool]]) -> None:
    run = run_of(tmp_path_factory.mktemp("run"), rows)
    found = spread.by_group(run, "host", MEASURES[:2]).to_pylist()
    expected = []
    for at, name in enumerate(MEASURES[:2], start=1):
        for host in {row[0] for row in rows}:
            values = [row[at] for row in rows if row[0] == host and row[3] and not np.isnan(row[at])]  # type: ignore[call-overload]
            if values:
                shares = np.quantile(values, [0.1, 0.5, 0.9])
                expected.append((-at, len(values), host, name, [np.mean(values), *shares]))
    expected.sort(key=lambda one: (-one[0], -one[1], one[2]))
    assert [(row["documents"], row["key"], row["measure"]) for row in found] == [one[1:4] for one in expected]
    for row, one in zip(found, expected, strict=True):
        assert [row[name] for name in ("mean", "p10", "median", "p90")] == pytest.approx(one[4], rel=1e-5)


def test_large_groups_are_sampled_alike_in_any_order(tmp_path: Path) -> None:
    rows = [(f"h{number % 7 % 3}.org", float(number % 101), NAN, True) for number in range(1000)]
    one = run_of(tmp_path / "one", rows, 1000)
    many = run_of(tmp_path / "many", rows, 90, backwards=True)
    sampled = [spread.by_group(run, "host", ["num_words"], most=120).to_pylist() for run in (one, many)]
    assert sampled[0] == sampled[1]
    exact = spread.by_group(one, "host", ["num_words"]).to_pylist()
    for row, true in zip(sampled[0], exact, strict=True):
        assert (row["documents"], row["mean"]) == (true["documents"], true["mean"])
        assert row["median"] == pytest.approx(true["median"], abs=20)
    held = spread.Spread(120)
    for start in range(0, 1000, 90):
        numbers = np.arange(start, min(start + 90, 1000))
        held.add(numbers % 3, numbers.astype(np.uint64), numbers.astype(float))
        assert sum(map(len, held._held)) <= 120 + 60 + 90
    assert held.of_group == 32


def test_bounds_are_round() -> None:
    assert spread.bin_bounds(np.linspace(0, 1, 101)).tolist() == pytest.approx(np.arange(0, 1.01, 0.05).tolist())
    assert spread.bin_bounds(np.geomspace(50, 5000, 99)).tolist() == pytest.approx(
        [50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000]
    )
    assert spread.bin_bounds(np.full(5, 3.0)).tolist() == [3.0]
    assert spread.bin_bounds(np.array([-4.0, 5.0])).tolist()[0] <= -3.9


def test_a_histogram() -> None:
    sample = pa.table(
        {"id": list("abcde"), "decision": ["kept", "short", "kept", "kept", "kept"], "x": [0.0, 0.0, 1.0, 1.0, NAN]}
    )
    lines = list(spread.histogram_lines(sample, "x"))
    assert lines[0] == "x of 3 documents that the filter kept (█) and 1 that it refused (░)"
    told = [line.split() for line in lines[1:] if not line.endswith(" 0.0%")]
    assert [(line[-2], line[-1].count("█"), line[-1].count("░")) for line in told] == [
        ("50.0%", 25, 25),
        ("50.0%", 50, 0),
    ]
    assert len(list(spread.histogram_lines(sample.slice(4), "x"))) == 1


def test_histograms_of_groups_have_the_same_bins(tmp_path: Path) -> None:
    values = {"a.org": np.arange(40) % 8, "b.org": np.full(10, 100), "c.org": np.arange(9)}  # one too few
    rows = [(host, float(each), NAN, True) for host, those in values.items() for each in those]
    run = run_of(tmp_path, rows, 17)
    table = spread.by_group(run, "host", ["num_words"])
    told = {row["key"]: row for row in table.to_pylist()}
    (bounds,) = {row["bounds"] for row in told.values()}
    edges = [-np.inf, *map(float, bounds.split()), np.inf]
    for host in ("a.org", "b.org"):
        assert list(map(int, told[host]["histogram"].split())) == np.histogram(values[host], edges)[0].tolist()
    assert told["c.org"]["histogram"] == ""
    lines = list(spread.table_lines(table, "host", "num_words", 20))
    assert lines[1].endswith(f"  < {bounds.split()[0]} … ≥ {bounds.split()[-1]}")
    assert lines[2].rstrip()[-1] in "▁▂▃▄▅▆▇█"
    assert lines[3].endswith("█")
    assert not set(lines[4]) & set("▁▂▃▄▅▆▇█")


def test_a_bar_is_drawn_against_its_fullest_bin() -> None:
    assert spread._drawn("0 1 4 8 1000 0") == "   ▁▁▁█"
    assert spread._drawn("4 2 1") == "  █▄▂"
    assert spread._drawn("") == ""


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        ("b.org", 10.0, 0.5, True),
        ("a.org", 20.0, 0.1, True),
        ("b.org", 30.0, NAN, True),
        ("a.org", 9.0, 0.1, False),
    ]
    run, out = run_of(tmp_path, rows), tmp_path / "out.csv"
    (tmp_path / "run.toml").write_text('[run]\nfolder = "run"\n')
    assert cli.main(["stats", run, "--by", "host", "--measure", "num_words", "stop_words", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["num_words", "of", "3", "documents", "in", "2", "groups", "by", "host"],
        ["host", "documents", "mean", "10%", "50%", "90%"],
        ["b.org", "2", "20", "12", "20", "28"],
        ["a.org", "1", "20", "20", "20", "20"],
    ]
    with open(out, encoding="utf-8") as file:
        told = list(csv.DictReader(file))
    assert told[0] == {"host": "b.org", "measure": "num_words", "documents": "2", "mean": "20", "p10": "12", "median": "20", "p90": "28", "histogram": "", "bounds": "10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30"}  # fmt: skip
    assert [(row["host"], row["measure"]) for row in told[2:]] == [("a.org", "stop_words"), ("b.org", "stop_words")]
    assert cli.main(["stats", run, "--measure", "num_words"]) == 0
    assert "num_words of 4 documents that the filter kept" in capsys.readouterr().out
    for options, message in (
        (["--measure", "words"], "--measure is 'words'; measured were num_words, stop_words\n"),
        (["--measure", "num_words", "--out", "x.csv"], "--out stands beside --measure without --by"),
        (["--measure", "num_words", "--quantiles", "0.5"], "--quantiles stands beside --measure"),
        (["--measure", "num_words", "--by", "dump"], "--by is 'dump'"),
    ):
        assert cli.main(["stats", run, *options]) == 2
        assert message in capsys.readouterr().err


def test_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no measures to tell of"):
        spread.main(str(tmp_path), ["num_words"])
    run = run_of(tmp_path, [("a.org", 1.0, 1.0, True)])
    with TableWriter(dataset_files(f"{run}/measures")[0], measures_schema(MEASURES)):
        pass
    (row,) = read_rows(dataset_files(f"{run}/documents")[0])
    with pytest.raises(DataError, match=f"has no measures of {row['id']}"):
        spread.by_group(run, "host", ["num_words"])
    with pytest.raises(SettingError, match="measured were"):
        spread.main(run, ["decision"])
