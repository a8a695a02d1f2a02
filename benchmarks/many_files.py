"""Ingesting very many tiny files, and one very large document: CPU seconds, and the memory of the process.

Tiny files are read in groups, so that a hundred thousand of them make 25 shards; what is left to grow with
their number is the list of their names. A document that is larger than `ingest.max_page_bytes` is refused
without being held. Memory is what a process of its own had at most, less what it had before it began.

    python -m benchmarks.many_files [--files 10000 100000] [--document-mb 1024]     # --files 1000000 takes a while
"""

import argparse
import gzip
import logging
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.memory import MIB, peak_bytes

_SENTENCE = b"A sentence of some words that says nothing new about anything at all. "
_IN_FOLDER = 1000


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--document-mb", type=int, default=1024)
    arguments = parser.parse_args()
    print(f"{'':28s} {'CPU s':>8s} {'more MiB':>9s} {'pages':>9s} {'refused':>8s} {'shards':>7s}")
    for name, found in measure(arguments.files, arguments.document_mb << 20):
        print(
            f"{name:28s} {found['cpu']:8.1f} {found['grown'] / MIB:9.1f} {found['kept']:9,.0f}"
            f" {found['rejected']:8,.0f} {found['shards']:7,.0f}"
        )


def measure(files: Sequence[int], document_bytes: int) -> Iterator[tuple[str, dict[str, float]]]:
    """What each input costs, by name."""
    for number in files:
        with tempfile.TemporaryDirectory() as folder:
            write_tiny_files(Path(folder, "in"), number)
            yield f"{number:,} tiny files", _apart(folder)
    for name, write in LARGE.items() if document_bytes else ():
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "in").mkdir()
            write(Path(folder, "in", name), document_bytes)
            yield f"{document_bytes >> 20} MiB in {name}", _apart(folder)


def write_tiny_files(folder: Path, number: int) -> None:
    """Text files of a line, a thousand in a folder."""
    for file in range(number):
        if file % _IN_FOLDER == 0:
            folder.joinpath(f"{file // _IN_FOLDER:05d}").mkdir(parents=True)
        path = folder / f"{file // _IN_FOLDER:05d}" / f"{file}.txt"
        path.write_text(f"Page {file} speaks of the number {file} and of its square, {file * file}.")


def _pieces(size: int) -> Iterator[bytes]:
    unit = _SENTENCE * 10_000
    for _ in range(size // len(unit) + 1):
        yield unit


def _write_text(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.writelines(_pieces(size))


def _write_lines(path: Path, size: int) -> None:
    with gzip.open(path, "wb", 1) if path.suffix == ".gz" else path.open("wb") as file:
        file.write(b'{"text": "')
        for piece in _pieces(size):
            file.write(piece)
        file.write(b'"}\n{"text": "A second record, which is small."}\n')


def _write_archive(path: Path, size: int) -> None:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    with path.open("wb") as file:
        for pieces in (
            list(_pieces(1)) * (size // len(next(_pieces(1)))),
            [b"<html><p>A second page, which is small."],
        ):
            length = len(http) + sum(map(len, pieces))
            head = "WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.org/\r\n"
            file.write(f"{head}Content-Length: {length}\r\n\r\n".encode() + http)
            file.writelines(pieces)
            file.write(b"\r\n\r\n")


LARGE: dict[str, Callable[[Path, int], None]] = {
    "one.txt": _write_text, "one.html": _write_text,
    "two.jsonl": _write_lines, "two.jsonl.gz": _write_lines, "two.warc": _write_archive,
}  # fmt: skip


def _apart(folder: str) -> dict[str, float]:
    """`ingest` of `folder`/in in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[dict[str, float]] = context.Queue()
    process = context.Process(target=_ingest, args=(folder, answer))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"ingest failed with exit code {process.exitcode}")
    return answer.get()


def _ingest(folder: str, answer: "multiprocessing.Queue[dict[str, float]]") -> None:
    logging.disable(logging.ERROR)
    from jobs.engine import Engine
    from jobs.ingest import ingest_run
    from pipeline.ingest.config import IngestConfig

    # A first, tiny run brings in whatever is imported late.
    write_tiny_files(Path(folder, "first"), 3)
    ingest_run(f"{folder}/first-run", IngestConfig(inputs=(f"{folder}/first",)), Engine())
    before, begin = peak_bytes(), time.process_time()
    manifest = ingest_run(f"{folder}/run", IngestConfig(inputs=(f"{folder}/in",)), Engine())
    counts = manifest.counts
    answer.put(
        {
            "cpu": time.process_time() - begin,
            "grown": peak_bytes() - before,
            "kept": counts["kept"],
            "rejected": counts["rejected"],
            "shards": len(manifest.files),
        }
    )


if __name__ == "__main__":
    main()
