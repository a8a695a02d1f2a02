"""Labelled sets of near duplicates, and the exact similarities of their pairs."""

import csv
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import zstandard

DATA = Path(os.environ.get("CORPUSMILL_DATA", Path(__file__).parents[2] / "shared" / "data"))
SETS = (
    "articles_2500",
    "chapters_across_editions",
    "deep_review",
    "httpd_manual_en",
    "pep_rfc_revisions",
    "scancode_license_texts",
)


def documents(name: str) -> list[dict[str, Any]]:
    """The records of one labelled set."""
    raw = (DATA / "neardup" / f"{name}.jsonl.zst").read_bytes()
    with zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(raw) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="\n")
        records = [json.loads(line) for line in text if line.strip()]
    return list({one["id"]: one for one in reversed(records)}.values())[::-1]  # one set has an id twice


def labelled_pairs(name: str) -> tuple[dict[tuple[str, str], float], set[tuple[str, str]]]:
    """The exact Jaccard similarity of all pairs of one set from 0.2 on, and those of the same document by label."""
    with gzip.open(DATA / "neardup" / f"{name}.pairs.tsv.gz", "rt") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    values = {pair(row["id_a"], row["id_b"]): float(row["jaccard_w5"]) for row in rows}
    return values, {pair(row["id_a"], row["id_b"]) for row in rows if row["same_cluster"] == "1"}


def pair(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first < second else (second, first)
