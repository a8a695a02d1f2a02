"""Peak memory of ingest → curate for 1, 4 and 16 times as many documents: `python -m benchmarks.memory`.

Each job runs in a process of its own, so that its peak is its own; pages are extracted in that process.
Input files (and so shards) keep their size and grow in number. Within a shard what is held is bounded
by a row group (16 MiB of text or 8192 rows). Deduplication keeps an index of all documents, as it must:
its growth for a document is printed beside the others, and is no failure.
"""

import json
import logging
import multiprocessing
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.corpora import paragraphs

FACTORS = (1, 4, 16)
FILES = 2
DOCUMENTS_IN_FILE = 200
PARAGRAPHS = 20
JOBS = ("ingest", "filter", "dedup")
MIB = 1 << 20


def write_inputs(folder: Path, num_files: int) -> int:
    """Files of different documents; returns how many bytes."""
    folder.mkdir(parents=True)
    texts, size = paragraphs(), 0
    for file in range(num_files):
        draw = random.Random(file)
        lines = []
        for number in range(DOCUMENTS_IN_FILE):
            text = "\n\n".join(draw.sample(texts, PARAGRAPHS))
            lines.append(json.dumps({"url": f"https://example.org/{file}/{number}", "text": text}) + "\n")
        content = "".join(lines).encode()
        (folder / f"pages-{file:03d}.jsonl").write_bytes(content)
        size += len(content)
    return size


def _peak(run: str, inputs: str, job: str, answer: "multiprocessing.Queue[int]") -> None:
    """Does one job and tells the largest memory that this process had, in bytes."""
    import resource

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
    {"ingest": ingest.main, "filter": curate.filter_pages, "dedup": dedup.main}[job](config, Engine())
    unit = 1 if sys.platform == "darwin" else 1024
    answer.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def peaks(folder: Path, factor: int) -> dict[str, int]:
    """The peak of each job in bytes, for `factor` times the documents, and their number and size."""
    size = write_inputs(folder / "in", FILES * factor)
    found = {"documents": FILES * factor * DOCUMENTS_IN_FILE, "input_bytes": size}
    context = multiprocessing.get_context("spawn")
    for job in JOBS:
        answer: multiprocessing.Queue[int] = context.Queue()
        process = context.Process(target=_peak, args=(str(folder / "run"), str(folder / "in"), job, answer))
        process.start()
        process.join()
        if process.exitcode:
            raise RuntimeError(f"{job} failed with exit code {process.exitcode}")
        found[job] = answer.get()
    return found


def measure(factors: Sequence[int] = FACTORS) -> list[dict[str, int]]:
    """`peaks` for each factor."""
    with tempfile.TemporaryDirectory() as folder:
        return [peaks(Path(folder) / str(factor), factor) for factor in factors]


def table(found: Sequence[dict[str, int]]) -> str:
    """The numbers as a table, with the growth from the first row to the last."""
    lines = [f"{'documents':>10} {'input MiB':>10} " + " ".join(f"{job + ' MiB':>11}" for job in JOBS)]
    for row in found:
        peaks_of_row = " ".join(f"{row[job] / MIB:11.1f}" for job in JOBS)
        lines.append(f"{row['documents']:10,} {row['input_bytes'] / MIB:10.1f} {peaks_of_row}")
    first, last = found[0], found[-1]
    for job in JOBS:
        each = (last[job] - first[job]) / (last["documents"] - first["documents"])
        lines.append(
            f"{job}: {last[job] / first[job]:.3f} times the peak for {last['documents'] / first['documents']:.0f} times the documents, {each:,.0f} bytes a document"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures and prints."""
    print(table(measure()))


if __name__ == "__main__":
    main()
