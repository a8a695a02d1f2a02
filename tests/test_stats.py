"""`corpusmill stats`: every page in one group, the same for any order of files, quantiles that numpy gives."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jobs import cli, stats
from jobs.config import load
from jobs.replay import Rulebook
from pipeline.atomic import FileEntry
from pipeline.errors import InputError
from pipeline.manifests import Manifest, dataset_files, write_manifest
from pipeline.tables import DOCUMENTS, REJECTIONS, TableWriter, measures_schema, read_rows
from tests.runs import Made

pytestmark = pytest.mark.xdist_group("runs")
URLS = {
    "http://www.example.co.uk/a": 3,
    "https://user@news.example.co.uk:8080/b?c=https://other.org/": 5,
    "https://EXAMPLE.org": 7,
    "http://[::1]:80/x": 2,
    "http://127.0.0.1:8041/": 4,
    "": 1,
}


def write(folder: Path, schema: pa.Schema, parts: list[list[dict[str, object]]], kind: str) -> None:
    """A dataset of some files."""
    entries: list[FileEntry] = []
    for number, rows in enumerate(parts):
        with TableWriter(str(folder / f"part-{number:06d}.parquet"), schema) as table:
            for row in rows:
                table.append(row)
        entries.append(table.entry().relative_to(str(folder)))
    write_manifest(str(folder), Manifest(kind=kind, fingerprint="", files=tuple(entries)))


def run_of(folder: Path, *, parts: int = 1) -> Path:
    """A run with a document at each address, and two refusals at the first."""
    documents = [
        {"id": f"{number:032x}", "url": url, "text": "x" * length, "language": "de" if length % 2 else "en", "source": "s"}
        for number, (url, length) in enumerate(URLS.items())
    ]  # fmt: skip
    url = next(iter(URLS))
    refused = [{"id": f"f{number}", "url": url, "stage": "filter", "reason": reason} for number, reason in enumerate(("short", "long", "long"))]  # fmt: skip
    write(folder / "documents", DOCUMENTS, [documents[start::parts] for start in range(parts)], "dedup")
    write(folder / "rejected/filter", REJECTIONS, [refused], "filter")
    write(folder / "rejected/dedup", REJECTIONS, [[]], "dedup")
    return folder


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("host", {"example.org": (1, 1, 7), "news.example.co.uk": (1, 1, 5), "127.0.0.1": (1, 1, 4), "www.example.co.uk": (4, 1, 3), "[::1]": (1, 1, 2), "(none)": (1, 1, 1)}),
        ("domain", {"example.co.uk": (5, 2, 8), "example.org": (1, 1, 7), "127.0.0.1": (1, 1, 4), "[::1]": (1, 1, 2), "(none)": (1, 1, 1)}),
        ("suffix", {"co.uk": (5, 2, 8), "org": (1, 1, 7), "127.0.0.1": (1, 1, 4), "[::1]": (1, 1, 2), "(none)": (1, 1, 1)}),
        ("language", {"de": (4, 4, 16), "en": (2, 2, 6)}),
        ("source", {"s": (6, 6, 22)}),
    ],
)  # fmt: skip
def test_groups_by_hand(tmp_path: Path, by: str, groups: dict[str, tuple[int, int, int]]) -> None:
    for parts in (1, 3):
        found = stats.grouped(str(run_of(tmp_path / str(parts), parts=parts)), by).to_pylist()
        assert {row["key"]: (row["pages"], row["documents"], row["characters"]) for row in found} == groups
        assert [row["key"] for row in found] == list(groups), "the largest first"
        reasons = {row["chief_reason"] for row in found}
        assert reasons == ({"filter: long", ""} if by not in ("language", "source") else {""})


def test_what_is_not_shown_is_summed_up(tmp_path: Path) -> None:
    lines = list(stats.group_lines(stats.grouped(str(run_of(tmp_path)), "host"), "host", 2))
    assert lines[0] == "6 groups by host: 6 documents of 9 pages, 22 characters"
    assert lines[-1].split() == ["(4", "more)", "7", "4", "57%", "10", "45.5%"]


def test_every_page_of_a_run_is_in_one_group(made: Made) -> None:
    run = str(made.run)
    number = sum(1 for path in dataset_files(f"{run}/pages") for _ in read_rows(path, ["id"]))
    assert number > 10
    for by in ("host", "domain", "suffix"):
        assert sum(stats.grouped(run, by)["pages"].to_pylist()) == number
    texts = [row["text"] for path in dataset_files(f"{run}/documents") for row in read_rows(path, ["text"])]
    for by in ("host", "language", "source"):
        groups = stats.grouped(run, by)
        assert sum(groups["documents"].to_pylist()) == len(texts)
        assert sum(groups["characters"].to_pylist()) == sum(map(len, texts))


def test_quantiles_are_those_of_numpy(made: Made) -> None:
    folder = f"{made.run}/measures"
    lines = list(stats.measure_lines(folder, Rulebook.of(load(str(made.settings)).filter)))
    values = [row["num_words"] for path in dataset_files(folder) for row in read_rows(path) if row["decision"] == "kept"]  # fmt: skip
    line = next(line for line in lines if line.startswith("num_words"))
    assert line.split()[1:7] == ["kept", *(f"{value:.4g}" for value in np.quantile(values, stats.QUANTILES))]
    assert line.endswith("≥ 50 and ≤ 100000")


def test_the_sample_is_the_same_for_any_order_of_files(tmp_path: Path) -> None:
    schema = measures_schema(["num_words"])
    rows = [{"id": f"{number * 7919 % 1000:04d}", "decision": "kept", "num_words": float(number)} for number in range(1000)]  # fmt: skip
    for name, cuts in (("one", [rows]), ("many", [rows[start : start + 90] for start in range(900, -1, -90)])):
        write(tmp_path / name, schema, cuts, "filter")
    one, many = (stats.sampled(str(tmp_path / name), 50) for name in ("one", "many"))
    assert one.to_pylist() == many.to_pylist()
    assert one["id"].to_pylist() == [f"{number:04d}" for number in range(50)]


def test_the_command(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "hosts.csv"
    assert cli.main(["stats", str(made.run), "--by", "host", "--top", "1", "--out", str(out)]) == 0
    assert "1 group by host" in capsys.readouterr().out
    with open(out, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["host", "pages", "documents", "characters", "chief_reason"]
    assert cli.main(["stats", str(made.run), "--top", "0"]) == 2
    assert "--top is 0" in capsys.readouterr().err
    assert cli.main(["stats", str(made.run), "--quantiles", "0.005", "0.29"]) == 0
    (head,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("measure ")]
    assert head.split() == ["measure", "0.5%", "29%", "asked", "for"]
    assert cli.main(["stats", str(made.run), "--quantiles", "30"]) == 2
    assert "--quantiles has 30; allowed is 0 to 1" in capsys.readouterr().err


def test_a_run_without_documents_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no documents to tell of"):
        stats.grouped(str(tmp_path), "host")
