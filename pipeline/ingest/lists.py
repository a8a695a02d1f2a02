"""Lists of inputs: files that name others, one a line, as Common Crawl publishes them."""

from collections.abc import Iterator

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
        while line := stream.readline(_LINE_BYTES):
            text = line.decode("utf-8", "replace").lstrip("\ufeff").strip()
            if len(line) == _LINE_BYTES or "\0" in text:
                raise InputError(f"{path}, of ingest.input_files, is no list of one path a line")
            if text and not text.startswith("#"):
                yield text
        if stream.damage is not None:
            raise InputError(f"{path}, of ingest.input_files, cannot be read to its end: {stream.damage.detail}")


def _with_prefix(line: str, prefix: str) -> str:
    return line if not prefix or "://" in line or line.startswith("/") else join(prefix, line)
