"""Reading archives: our reader beside FastWARC and warcio, in one run on the same bytes.

Ours does more for each record than the peers do here: it decides what is a page, undoes encodings, hashes
the payload and knows where to find it again. `records` is the bare iteration with heads parsed and bodies read.

    python -m benchmarks.ingest [FOLDER]

FOLDER holds `.warc.gz` files; without one, an archive is made from pages of random words.
"""

import io
import logging
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.ingest.captures import Capture
from pipeline.ingest.config import PageRules
from pipeline.ingest.warc import found_in_archive
from pipeline.records import payload_digest
from pipeline.streams import ByteStream

REPEATS = 3


def main() -> None:
    """Prints records a second of CPU for each reader, and ratios to ours."""
    logging.disable(logging.CRITICAL)
    data = b"".join(path.read_bytes() for path in _archives(sys.argv[1:])) or _made()
    print(f"{len(data) / 1e6:.1f} MB of .warc.gz; CPU seconds are the best of {REPEATS}")
    floor = _best(_inflate_only, data)
    ours = _best(_ours, data)
    _line("inflating alone (zlib; pieces of 1 MiB)", floor, ours, data)
    _line("corpusmill: records", _best(_our_records, data), ours, data)
    _line("corpusmill: pages, decoded, hashed", ours, ours, data)
    for name, run in (("FastWARC: records, HTTP parsed", _fastwarc), ("warcio: records, HTTP parsed", _warcio)):
        try:
            _line(name, _best(run, data), ours, data)
        except ImportError as error:
            print(f"{name:<40} missing: {error}")


def _archives(arguments: list[str]) -> Iterator[Path]:
    for folder in arguments:
        yield from sorted(Path(folder).glob("*.warc.gz"))


def _made() -> bytes:
    import gzip

    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randrange(2, 10))) for _ in range(5000)]
    records = []
    for number in range(400):
        body = "<html><p>" + " ".join(chance.choices(words, k=8000)) + "</p></html>"
        block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{body}".encode()
        for kind, content in (("request", b"GET / HTTP/1.1\r\n\r\n"), ("response", block)):
            head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://a/{number}\r\nContent-Length: {len(content)}\r\n\r\n"
            records.append(gzip.compress(head.encode() + content + b"\r\n\r\n", 6, mtime=0))
    return b"".join(records)


def _best(run: Callable[[bytes], int], data: bytes) -> tuple[float, int]:
    """The least CPU seconds of a few runs, and the records seen."""
    seconds, seen = [], 0
    for _ in range(REPEATS):
        start = time.process_time()
        seen = run(data)
        seconds.append(time.process_time() - start)
    return min(seconds), seen


def _line(name: str, measured: tuple[float, int], ours: tuple[float, int], data: bytes) -> None:
    seconds, seen = measured
    rate = len(data) / 1e6 / seconds
    print(
        f"{name:<40} {seconds:8.3f} s {seen / seconds:10,.0f} records/s {rate:7.1f} MB/s  x{ours[0] / seconds:.2f} of ours"
    )


def _inflate_only(data: bytes) -> int:
    members = 0
    source = ByteStream(io.BytesIO(data), compression="gzip")
    while source.skip(1 << 20):
        members += 1
    return members


def _ours(data: bytes) -> int:
    seen = 0
    for found in found_in_archive(io.BytesIO(data), PageRules()):
        seen += 1
        if isinstance(found, Capture):
            payload_digest(found.payload)
    return seen


def _our_records(data: bytes) -> int:
    return sum(1 for _ in found_in_archive(io.BytesIO(data), PageRules()))


def _fastwarc(data: bytes) -> int:
    from fastwarc.warc import ArchiveIterator

    seen = 0
    for record in ArchiveIterator(io.BytesIO(data), parse_http=True):
        record.reader.read()
        seen += 1
    return seen


def _warcio(data: bytes) -> int:
    from warcio.archiveiterator import ArchiveIterator

    seen = 0
    for record in ArchiveIterator(io.BytesIO(data)):
        record.content_stream().read()
        seen += 1
    return seen


if __name__ == "__main__":
    main()
