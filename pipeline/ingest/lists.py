"""Lists of inputs: files that name others, one a line, as Common Crawl publishes them."""

from collections.abc import Iterator
from itertools import count

from pipeline.errors import InputError
from pipeline.ingest.config import IngestConfig
from pipeline.places import join
from pipeline.streams import open_stream

_LINE_BYTES = 1 << 16


def listed_paths(config: IngestConfig) -> list[str]:
    """The inputs that the lists name, sorted, each once.

    Raises:
        InputError: a list is missing or damaged, or names nothing.
    """
    found: set[str] = set()
    for path in config.input_files:
        lines = list(_listed_lines(path))
        if not lines:
            raise InputError(f"{path}, of ingest.input_files, names no file")
        found.update(_with_prefix(line, config.input_prefix) for line in lines)
    return sorted(found)


def _listed_lines(path: str) -> Iterator[str]:
    with open_stream(path) as stream:
        for number in count(1):
            line = stream.readline(_LINE_BYTES)
            if not line:
                break
            if len(line) == _LINE_BYTES or b"\0" in line:
                raise InputError(f"{path}, of ingest.input_files, is no list of one path a line")
            try:
                text = line.decode().lstrip("\ufeff").strip()
            except UnicodeDecodeError:
                raise InputError(f"line {number} of {path}, of ingest.input_files, is not UTF-8: {line!r}") from None
            if text and not text.startswith("#"):
                yield text
        if stream.damage is not None:
            raise InputError(f"{path}, of ingest.input_files, cannot be read to its end: {stream.damage.detail}")


def _with_prefix(line: str, prefix: str) -> str:
    return line if not prefix or "://" in line or line.startswith("/") else join(prefix, line)
