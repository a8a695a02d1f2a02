"""What the jobs cost, for planning: two processes against one, Beam's overhead, and the unit costs of every step.

    python -m benchmarks.scale workers [--data ../shared/data] [--repeat 4]
    python -m benchmarks.scale units [--data ../shared/data] [--json units.json]

`workers` curates real pages with 1 and with 2 processes and prints the ratio of the times, then the same shards by
the bare functions and by Beam in one process: its overhead. `units` runs ingest, filter, dedup, count, encode and pack
over WARC files of real pages and prints, for each, CPU milliseconds a page, bytes read, bytes written for good, bytes
written for other shards (what is shuffled), and peak memory; with --json, what `benchmarks.dump_simulation` reads.
Without real data, pages are made of the prose of the standard library. Give `workers` a quiet machine.
"""

import argparse
import json
import logging
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.curate import RealPage, real_pages, write_archives
from tests import corpora

FILES = 8
STEPS = ("ingest", "filter", "dedup", "count", "pack")
# Datasets that stay; whatever else a step writes is there for other shards to read, and goes.
KEPT = ("pages", "rejected", "filtered", "measures", "documents", "duplicates", "counts", "tokenizer", "shards")
MIB = 1 << 20
SETTINGS = """
[run]
folder = {folder}
[ingest]
inputs = [{archives}]
group_files = 1
[filter]
sets = ["gopher_quality", "gopher_repetition", "fineweb"]
[filter.spam]
on = false
[filter.toxicity]
on = false
[tokenizer]
vocab_size = 4096
[pack]
sequence_length = 2048
heldout_documents = 1
"""


def pages_of(data: Path) -> list[RealPage]:
    """The real pages, or pages of the standard library's prose where there is no real data."""
    if (data / "html").is_dir():
        return list(real_pages(data / "html"))
    texts = corpora.good_texts(120)
    body = [f"<html><body><main><p>{text}</p></main></body></html>".encode() for text in texts]
    return [RealPage(f"https://made.example/{number}", html, "") for number, html in enumerate(body)]


def settings_file(folder: Path, archives: Path) -> Path:
    place = folder.with_suffix(".toml")
    place.write_text(SETTINGS.format(folder=json.dumps(str(folder)), archives=json.dumps(str(archives / "*.warc.gz"))))
    return place


def in_a_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work` answers in a fresh process with one thread."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_answer, args=(work, arguments, answer))
    process.start()
    found = answer.get()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{work.__name__}{arguments} failed")
    return found


def _answer(work: Callable[..., Any], arguments: Sequence[Any], answer: Any) -> None:
    logging.disable(logging.ERROR)
    try:
        answer.put(work(*arguments))
    except BaseException:
        answer.put(None)
        raise


def cpu_seconds() -> float:
    """Of this process and of all its children, those that still run (extraction in a child) as well."""
    ended = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in ended) + sum(map(_living, _children(os.getpid())))


def _children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for each in lists for child in each.read_text().split()]


def _living(pid: int) -> float:
    """CPU seconds of a process, with the children that it has waited for and those that it has."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + sum(map(_living, _children(pid)))


# --- two processes against one ------------------------------------------------------------------------------


def timed(settings: str, workers: int) -> float:
    """Seconds on the clock of the filter step."""
    from jobs import config, curate
    from jobs.engine import Engine

    chosen = config.load(settings)
    begin = time.perf_counter()
    curate.filter_pages(chosen, Engine(workers=workers), force=True)
    return time.perf_counter() - begin


def beside_bare(settings: str, tiny: str) -> dict[str, float]:
    """CPU seconds of the filter step by its bare functions and by Beam, in this process, in turns.

    What a few pages take is taken off: models are loaded for each pipeline, however many pages it has.
    """
    from dataclasses import replace

    from jobs import config, curate
    from jobs.engine import Engine

    loaded = [config.load(place) for place in (tiny, settings)]
    few, everything = (replace(each, extract=replace(each.extract, isolate=False)) for each in loaded)

    def used(work: Callable[[], object]) -> float:
        before = cpu_seconds()
        work()
        return cpu_seconds() - before

    best = {"bare": float("inf"), "beam": float("inf")}
    for turn in range(3):
        bare = [used(bare_worker(each)) for each in (few, everything)]
        beam = [used(partial(curate.filter_pages, each, Engine(workers=1), force=True)) for each in (few, everything)]
        if turn:  # the first one loads and compiles
            best = {"bare": min(best["bare"], bare[1] - bare[0]), "beam": min(best["beam"], beam[1] - beam[0])}
    return best


def bare_worker(config: Any) -> Callable[[], None]:
    """A function that judges every shard without Beam, receipts or progress, into a folder of its own."""
    from pipeline.corpus import FILTERED, MEASURES, REJECTED, _pages_of, page_shards, recipe
    from pipeline.stage import JudgeShard, Outputs

    run = config.run.folder
    judge = JudgeShard(
        read=partial(_pages_of, run), judges=recipe(config.extract, config.filter), kept=FILTERED, rejected=REJECTED, measures=MEASURES
    )  # fmt: skip

    def work() -> None:
        judge.setup()
        for shard in page_shards(run):
            judge.process(shard, Outputs(run + "-bare", shard.name))

    return work


def workers(pages: Sequence[RealPage], scratch: Path, repeat: int) -> None:
    """Prints both comparisons."""
    settings, tiny = made(pages, scratch, repeat), made(pages[:8], scratch / "tiny", 1)
    num_pages, load = len(pages) * repeat, os.getloadavg()[0]  # our own ingest is in it
    print(f"filter, {num_pages} pages, {os.cpu_count()} cores, load average before {load:.1f}")
    runs = {number: in_a_process(timed, str(settings), number) for number in (1, 2)}
    starts = {number: in_a_process(timed, str(tiny), number) for number in (1, 2)}
    for number in (1, 2):
        print(f"  {number} process(es): {runs[number]:.1f} s on the clock; of 8 pages {starts[number]:.1f} s")
    net = {number: runs[number] - starts[number] for number in (1, 2)}
    print(f"  1 : 2 processes on the clock: {runs[1] / runs[2]:.2f}; with starting taken off {net[1] / net[2]:.2f}")
    both = in_a_process(beside_bare, str(settings), str(tiny))
    print(
        f"  bare functions {both['bare']:.2f} CPU s, by Beam {both['beam']:.2f}: overhead {both['beam'] / both['bare'] - 1:.1%}"
    )


def made(pages: Sequence[RealPage], folder: Path, repeat: int) -> Path:
    """The settings of a run whose pages are indexed."""
    write_archives(pages, folder / "archives", number=FILES, repeat=repeat)
    settings = settings_file(folder / "run", folder / "archives")
    in_a_process(do, str(settings), "ingest")
    return settings


# --- unit costs ---------------------------------------------------------------------------------------------


def do(settings: str, step: str) -> None:
    """Does one step in this process."""
    from importlib import import_module

    from jobs import config, curate
    from jobs.engine import Engine

    job = curate.filter_pages if step == "filter" else import_module(f"jobs.{step}").main
    job(config.load(settings), Engine(workers=1), force=True)


def measured(few: str, everything: str, step: str) -> dict[str, float]:
    """What one step takes over all pages less what it takes over a few, when models are loaded and loops compiled."""
    from pipeline.atomic import AtomicFile

    written: Counter[str] = Counter()
    end = AtomicFile.__exit__

    def noting(self: Any, *error: Any) -> Any:
        folder = next(name for name in (few, everything) if self.path.startswith(name.removesuffix(".toml") + "/"))
        inside = self.path.removeprefix(folder.removesuffix(".toml")).strip("/").split("/")
        written["work" if "work" in inside else inside[0]] += self._num_bytes
        return end(self, *error)

    AtomicFile.__exit__ = noting  # type: ignore[method-assign]
    used, kept, passed = [], [], []
    for settings in (few, few, everything):
        written.clear()
        before = cpu_seconds()
        do(settings, step)
        used.append(cpu_seconds() - before)
        kept.append(sum(size for name, size in written.items() if name in KEPT))
        passed.append(sum(size for name, size in written.items() if name not in (*KEPT, "attempts")))
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "cpu_seconds": max(0.0, used[2] - used[1]),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        "kept_bytes": kept[2] - kept[1],
        "passed_bytes": passed[2] - passed[1],
    }


def units(pages: Sequence[RealPage], scratch: Path, place: str) -> None:
    """Prints a row for each step, the cost of a few pages taken off, and writes what the simulation reads."""
    scratch.joinpath("all").mkdir()
    scratch.joinpath("few").mkdir()
    few, everything = made(pages[:8], scratch / "few", 1), made(pages, scratch / "all", 1)
    size = sum(path.stat().st_size for path in (scratch / "all/archives").iterdir())
    payload = sum(len(page.html) for page in pages)
    found: dict[str, Any] = {
        "pages": len(pages), "warc_bytes": size, "payload_bytes": payload, "steps": {},
    }  # fmt: skip
    print(f"{len(pages)} pages, {payload / len(pages):,.0f} bytes each, {size / len(pages):,.0f} in compressed WARC\n")
    print("| step | CPU-ms a page | kept, bytes a page | passed on, bytes a page | peak MiB |")
    print("|---|---|---|---|---|")
    for step in STEPS:
        if step == "pack":  # learns the tokenizer first
            for settings in (few, everything):
                in_a_process(do, str(settings), "train_tokenizer")
        whole, num = in_a_process(measured, str(few), str(everything), step), len(pages) - 8
        unit = {
            "cpu_ms": 1000 * whole["cpu_seconds"] / num,
            "kept_bytes": whole["kept_bytes"] / num,
            "passed_bytes": whole["passed_bytes"] / num,
            "peak_mib": whole["peak_bytes"] / MIB,
        }
        found["steps"][step] = unit
        print(f"| {step} | {unit['cpu_ms']:.3f} | {unit['kept_bytes']:,.0f} | {unit['passed_bytes']:,.0f} | {unit['peak_mib']:.0f} |", flush=True)  # fmt: skip
    found |= kept_of(scratch / "all/run")
    print(
        f"\n{found['filtered']} pages pass the filters, {found['documents']} are no duplicates, {found['tokens']} tokens"
    )
    if place:
        Path(place).write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def kept_of(run: Path) -> dict[str, int]:
    """How many records and tokens are left."""
    from pipeline.manifests import read_manifest

    counts = read_manifest(str(run / "shards")).counts
    tokens = sum(number for name, number in counts.items() if name in ("train/tokens", "heldout/tokens"))
    return {"tokens": tokens} | {name: read_manifest(str(run / name)).num_records for name in ("filtered", "documents")}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=("workers", "units"))
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data")
    parser.add_argument("--pages", type=int, default=0, help="only so many")
    parser.add_argument("--repeat", type=int, default=4, help="workers: each page so many times")
    parser.add_argument("--json", default="", help="units: a file for benchmarks.dump_simulation")
    options = parser.parse_args(arguments)
    scratch = Path(tempfile.mkdtemp())
    try:
        pages = pages_of(options.data)[: options.pages or None]
        if options.what == "workers":
            workers(pages, scratch, options.repeat)
        else:
            units(pages, scratch, options.json)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
