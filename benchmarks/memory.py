"""Peak memory and CPU seconds of ingest → curate for 1, 4 and 16 times as many documents, in so many times as many files.

    python -m benchmarks.memory [--files 2 8 32] [--documents 200]     # --files 100 1000 --documents 1: many parts

Each job runs in a process of its own, so that its peak is its own; pages are extracted in that process.
Input files (and so shards) keep their size and grow in number. Within a shard what is held is bounded
by a row group (16 MiB of text or 8192 rows). Deduplication keeps an index of all documents, as it must:
its growth for a document is printed beside the others, and is no failure.
"""

import argparse
import json
import logging
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.corpora import paragraphs

FILES = (2, 8, 32)
DOCUMENTS_IN_FILE = 200
PARAGRAPHS = 20
JOBS = ("ingest", "filter", "dedup")
MIB = 1 << 20


def write_inputs(folder: Path, num_files: int, documents: int) -> int:
    """Files of different documents; returns how many bytes."""
    folder.mkdir(parents=True)
    texts, size = paragraphs(), 0
    for file in range(num_files):
        draw = random.Random(file)
        lines = []
        for number in range(documents):
            text = "\n\n".join(draw.sample(texts, PARAGRAPHS))
            lines.append(json.dumps({"url": f"https://example.org/{file}/{number}", "text": text}) + "\n")
        content = "".join(lines).encode()
        (folder / f"pages-{file:03d}.jsonl").write_bytes(content)
        size += len(content)
    return size


def _peak(run: str, inputs: str, job: str, answer: "multiprocessing.Queue[tuple[int, int]]") -> None:
    """Does one job and tells the largest memory that this process had, in bytes, and the CPU milliseconds of the job."""
    logging.disable(logging.ERROR)
    from jobs import curate, dedup, ingest
    from jobs.config import RunConfig, RunSettings
    from jobs.engine import Engine
    from pipeline.extract.config import ExtractConfig
    from pipeline.ingest.config import IngestConfig

    config = RunConfig(
        run=RunSettings(folder=run),
        ingest=IngestConfig(inputs=(inputs,), group_files=1),
        extract=ExtractConfig(isolate=False),
    )
    begin = time.process_time()
    {"ingest": ingest.main, "filter": curate.filter_pages, "dedup": dedup.main}[job](config, Engine(workers=1))
    answer.put((peak_bytes(), int(1000 * (time.process_time() - begin))))


def peak_bytes() -> int:
    """The largest memory that this program has had since it began.

    Not `ru_maxrss` where it can be helped: on Linux, a new program takes that over from the one that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peaks(folder: Path, num_files: int, documents: int) -> dict[str, int]:
    """The peak of each job in bytes, for files of so many documents, and the documents' number and size."""
    size = write_inputs(folder / "in", num_files, documents)
    found = {"documents": num_files * documents, "input_bytes": size}
    context = multiprocessing.get_context("spawn")
    for job in JOBS:
        answer: multiprocessing.Queue[tuple[int, int]] = context.Queue()
        process = context.Process(target=_peak, args=(str(folder / "run"), str(folder / "in"), job, answer))
        process.start()
        process.join()
        if process.exitcode:
            raise RuntimeError(f"{job} failed with exit code {process.exitcode}")
        found[job], found[f"{job} CPU ms"] = answer.get()
    return found


def measure(files: Sequence[int] = FILES, documents: int = DOCUMENTS_IN_FILE) -> list[dict[str, int]]:
    """`peaks` for each number of files."""
    with tempfile.TemporaryDirectory() as folder:
        return [peaks(Path(folder) / str(number), number, documents) for number in files]


def table(found: Sequence[dict[str, int]]) -> str:
    """The numbers as a table, with the growth from the first row to the last."""
    units = (" MiB", " CPU s")
    lines = [f"{'documents':>10} {'input MiB':>10} " + " ".join(f"{job + unit:>12}" for unit in units for job in JOBS)]
    for row in found:
        figures = [row[job] / MIB for job in JOBS] + [row[f"{job} CPU ms"] / 1000 for job in JOBS]
        lines.append(
            f"{row['documents']:10,} {row['input_bytes'] / MIB:10.1f} " + " ".join(f"{each:12.1f}" for each in figures)
        )
    first, last = found[0], found[-1]
    for job in JOBS:
        each = (last[job] - first[job]) / (last["documents"] - first["documents"])
        lines.append(
            f"{job}: {last[job] / first[job]:.3f} times the peak for {last['documents'] / first['documents']:.0f} times the documents, {each:,.0f} bytes a document"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=FILES)
    parser.add_argument("--documents", type=int, default=DOCUMENTS_IN_FILE)
    arguments = parser.parse_args()
    print(table(measure(arguments.files, arguments.documents)))


if __name__ == "__main__":
    main()
