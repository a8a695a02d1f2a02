"""How deduplication grows: up to a million documents of real prose, and bands that very many documents share.

Called by `python -m benchmarks.dedup growth|skew`. Each size runs in a process of its own (one worker); memory is
the sum over that process and all below it, and disk what its folder holds, looked at five times a second.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dedup_sets import documents
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.curve import match_probability

PROSE = ("chapters_across_editions", "pep_rfc_revisions", "articles_2500")
THRESHOLD = 0.5
_POLL_SECONDS = 0.2


def planted(count: int, seed: int = 1) -> Iterator[tuple[str, int]]:
    """`count` texts of about 1 KB, cut and mixed from real prose, and the number of the original of each.

    Every tenth is a near copy of the text before it, with one run of its words replaced by as many new ones, so that
    the true similarity is spread over 0.5 … 1.
    """
    generator = random.Random(seed)
    sentences = [
        sentence
        for name in PROSE
        for one in documents(name)
        for sentence in one["text"].replace("\n", " ").split(". ")
        if 20 <= len(sentence) <= 400
    ]
    last = ""
    for number in range(count):
        if number % 10 == 9:
            words = last.split()
            size = generator.randrange(1, max(len(words) // 4, 2))
            start = generator.randrange(0, max(len(words) - size, 1))
            words[start : start + size] = [f"w{generator.getrandbits(40):x}" for _ in range(size)]
            yield " ".join(words), number - 1
            continue
        pieces: list[str] = []
        while sum(map(len, pieces)) < 1000:
            pieces.append(generator.choice(sentences))
        last = ". ".join(pieces)
        yield last, number


def write_run(run: str, texts: Iterator[tuple[str, int]], per_part: int = 25_000) -> dict[str, str]:
    """Writes the texts as RUN/filtered; returns the original of each copy, by id."""
    from pipeline.manifests import Manifest, write_manifest
    from pipeline.places import join
    from pipeline.records import page_id
    from pipeline.tables import DOCUMENTS, TableWriter

    entries, originals, names = [], {}, {-1: ""}
    more = next(texts, None)
    number, part = 0, 0
    while more is not None:
        with TableWriter(join(run, "filtered", f"part-{part:05d}.parquet"), DOCUMENTS) as table:
            while more is not None and table.num_records < per_part:
                text, original = more
                one = page_id(f"http://x/{number}", b"")
                table.append({"id": one, "url": f"http://x/{number}", "text": text})
                if original != number:
                    originals[one] = names[original]
                names = {number: one}
                number, more = number + 1, next(texts, None)
        entries.append(table.entry().relative_to(join(run, "filtered")))
        part += 1
    write_manifest(join(run, "filtered"), Manifest(kind="filtered", fingerprint="benchmark", files=tuple(entries)))
    return originals


def growth(largest: int, plot: str = "") -> None:
    """End to end on growing corpora: CPU, memory, disk, planted pairs found; and the picture, if it is asked for."""
    print(
        f"growth: documents of about 1 KB from real prose, one in ten a planted near copy; threshold {THRESHOLD}, "
        f"{DedupConfig().preset}, one worker"
    )
    rows = []
    for size in sorted({max(largest // 10, 1), max(largest // 3, 1), largest}):
        with tempfile.TemporaryDirectory() as folder:
            originals = write_run(folder, planted(size))
            row = {"documents": size, **measured(folder, {"threshold": THRESHOLD})}
            row |= found_of_planted(folder, originals)
        rows.append(row)
        print(
            f"  {size:>9,} documents: {row['cpu']:.1f} CPU s ({row['cpu'] / size * 1e6:.0f} µs a document), peak "
            f"{row['peak'] / 2**20:.0f} MiB, disk {row['disk'] / 2**20:.0f} MiB; planted pairs found {row['found']:,} of "
            f"{row['planted']:,}, theory {row['theory']:,.1f} ± {row['deviation']:.1f}",
            flush=True,
        )
    exponent = np.polyfit(np.log([row["documents"] for row in rows]), np.log([row["cpu"] for row in rows]), 1)[0]
    print(f"  CPU grows as documents^{exponent:.2f}")
    if plot:
        Path(plot).write_text(drawn(rows))


def skew(largest: int) -> None:
    """One giant cluster, and one template around different texts, all in one part: work must grow with the number."""
    print("skew: documents of 100 or 150 words in one part; every band that they share is hot; one worker")
    for kind, text in (("near copies", _near_copy), ("template", _templated)):
        for size in sorted({max(largest // 4, 1), max(largest // 2, 1), largest}):
            with tempfile.TemporaryDirectory() as folder:
                write_run(folder, ((text(number), number) for number in range(size)), per_part=size)
                row = measured(folder, {})
            counts = row["counts"]
            print(
                f"  {kind:11} {size:>9,}: {row['cpu']:.1f} CPU s, peak {row['peak'] / 2**20:.0f} MiB, disk "
                f"{row['disk'] / 2**20:.0f} MiB, {counts['candidate_pairs']:,} candidates, {counts['compared_pairs']:,} compared, "
                f"{counts['kept']:,} kept, alarms {counts['giant_clusters']}",
                flush=True,
            )


def _near_copy(number: int) -> str:
    return " ".join([*(f"shared{word}" for word in range(100)), f"own{number}"])


def _templated(number: int) -> str:
    return " ".join([*(f"shared{word}" for word in range(100)), *(f"own{number}x{word}" for word in range(50))])


def measured(run: str, settings: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds, the highest memory and disk use in bytes, and the counts of one deduplication of `run`."""
    code = f"from benchmarks.dedup_growth import deduplicated; deduplicated({run!r}, {settings!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    peak = disk = 0
    while process.poll() is None:
        peak, disk = max(peak, _tree_bytes(process.pid)), max(disk, _folder_bytes(run))
        time.sleep(_POLL_SECONDS)
    assert process.stdout is not None
    output = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"the deduplication of {run} ended with exit code {process.returncode}")
    found = dict(json.loads(output.splitlines()[-1]))
    return {**found, "peak": max(peak, found["own_peak"]), "disk": disk}


def deduplicated(run: str, settings: dict[str, Any]) -> None:
    """Deduplicates `run` with the job in this process and prints what it cost."""
    import logging
    import resource

    from jobs.dedup import deduplicate_run
    from jobs.engine import Engine

    logging.disable(logging.ERROR)
    before = _cpu_seconds()
    manifest = deduplicate_run(run, DedupConfig(**settings), Engine(workers=1))
    counts = {name: count for name, count in manifest.counts.items() if "/" not in name}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"cpu": _cpu_seconds() - before, "own_peak": peak, "counts": counts}))


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _tree_bytes(pid: int) -> int:
    """The resident memory of a process and all below it: shared pages count once for each."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return own + sum(_tree_bytes(int(child)) for child in children)


def _folder_bytes(folder: str) -> int:
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.stat(os.path.join(path, name)).st_size
            except FileNotFoundError:  # renamed or removed meanwhile
                continue
    return total


def found_of_planted(run: str, originals: dict[str, str]) -> dict[str, Any]:
    """Of the planted pairs at or above the threshold: how many were verified, and how many theory expects."""
    from pipeline.dedup.shingles import shingle_hashes
    from pipeline.dedup.verify import jaccard_sorted
    from pipeline.tables import read_rows

    config = DedupConfig(threshold=THRESHOLD)
    edges = sorted(Path(run, "duplicates", "edges").glob("*.parquet"))
    pairs = {frozenset((row["id_a"], row["id_b"])) for path in edges for row in read_rows(str(path))}
    chances, found, texts = [], 0, {"": ""}
    for path in sorted(Path(run, "filtered").glob("*.parquet")):
        for row in read_rows(str(path), ["id", "text"]):
            one, original = row["id"], originals.get(row["id"])
            if original in texts:
                first, second = row["text"], texts[original]
                similarity = jaccard_sorted(*(np.unique(shingle_hashes(text)) for text in (first, second)))
                if similarity >= THRESHOLD and first != second:
                    chances.append(match_probability(similarity, config.banding))
                    found += frozenset((one, original)) in pairs
            texts = {one: row["text"]}  # an original stands right before its copy
    chance = np.array(chances)
    deviation = float(np.sqrt((chance * (1 - chance)).sum()))
    return {"found": found, "planted": len(chances), "theory": float(chance.sum()), "deviation": deviation}


def drawn(rows: Sequence[dict[str, Any]]) -> str:
    """CPU seconds and memory by the number of documents, as SVG: same data, same bytes."""
    import io

    from matplotlib import rc_context
    from matplotlib.figure import Figure

    sizes = np.array([row["documents"] for row in rows])
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "corpusmill", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(7, 2.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.loglog(sizes, [row["cpu"] for row in rows], "o-", color="#2f6db3", label="measured")
        left.loglog(sizes, rows[-1]["cpu"] * sizes / sizes[-1], "--", color="#b8c0c8", label="proportional")
        left.set_ylabel("CPU seconds")
        left.legend(frameon=False)
        right.semilogx(sizes, [row["peak"] / 2**20 for row in rows], "o-", color="#c8553d")
        right.axhline(4096, linestyle="--", color="#b8c0c8")
        right.set_ylim(0, 4400)
        right.set_ylabel("peak memory, MiB (dashed: 4 GiB)")
        for axes in (left, right):
            axes.set_xlabel("documents of 1 KB")
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
