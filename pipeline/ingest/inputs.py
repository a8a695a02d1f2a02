"""Which files the inputs name, and of which format each is."""

import glob
import hashlib
import json
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import fsspec

from pipeline.disk import is_special
from pipeline.errors import InputError
from pipeline.ingest.config import IngestConfig
from pipeline.ingest.lists import listed_paths
from pipeline.ingest.runs import PAGES, run_files
from pipeline.manifests import RUN_FILE
from pipeline.places import filesystem, is_local, join, naming, on_disk
from pipeline.streams import open_stream

_PACKED = (".gz", ".zst", ".zstd", ".lz4", ".bz2", ".xz", ".bad", ".open")
_ARCHIVE_PARTS = frozenset(("warc", "arc", "wet", "wat"))
_KINDS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
    ".arrow": "arrow", ".feather": "arrow", ".csv": "csv", ".tsv": "csv",
    ".html": "html", ".htm": "html", ".xhtml": "html", ".shtml": "html",
    ".txt": "text", ".text": "text", ".md": "text", ".rst": "text",
}  # fmt: skip
_UNREAD = frozenset((".xlsx", ".avro", ".zim", ".pdf", ".epub", ".docx", ".zip", ".tar"))
# What lies beside the data in folders of dataset hubs, and is none.
_CARDS = frozenset(("readme.md", "dataset_info.json", "dataset_infos.json", "state.json"))
_GLOB_CHARACTERS = frozenset("*?[")
_LOOKUPS = 32  # at a time

# What tells that a file is another one, as object stores and (the last) the Hugging Face hub call it.
_STAMPS = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "blob_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """One file to read. `name` is its path below the input that led to it; `stamp` changes when it may have changed."""

    path: str
    kind: str
    source: str
    name: str
    num_bytes: int
    stamp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All files to read, in order, and how many files in folders were passed over for their names.

    `num_unknown` of those show no format that is read, `unknown` for example; the others are cards beside data.
    """

    files: tuple[InputFile, ...]
    num_passed_over: int
    num_unknown: int = 0
    unknown: str = ""

    def identity(self) -> str:
        """A hash of what there is to read, without reading it."""
        digest = hashlib.sha256(b"[")
        for number, file in enumerate(self.files):
            row = [file.path, file.kind, file.source, file.num_bytes, file.stamp]
            text = json.dumps(row, separators=(",", ":"), ensure_ascii=False)
            digest.update(("," * (number > 0) + text).encode("utf-8", "surrogatepass"))
        digest.update(b"]")
        return digest.hexdigest()


def list_inputs(config: IngestConfig) -> Inputs:
    """The files that the settings name, each once, in order of source and path.

    Raises:
        InputError: an input is missing, or holds nothing to read.
    """
    if not config.inputs and not config.input_files and not config.sources:
        raise InputError("there is nothing to ingest: set ingest.inputs to files, folders or patterns")
    wanted = [(config.source, pattern) for pattern in (*config.inputs, *listed_paths(config))] + list(
        config.sources.items()
    )
    files: dict[str, InputFile] = {}
    passed_over = num_unknown = 0
    unknown = ""
    for (source, pattern), entries in zip(wanted, _all_entries(wanted, config), strict=True):
        fresh: list[InputFile] = []
        matched = False
        for entry, explicit in entries:
            matched = True
            kind = _kind(entry, explicit, config)
            if not kind:
                num_unknown += 1
                unknown = unknown or entry.path
            elif entry.path not in files:
                files[entry.path] = _input_file(entry, kind, source)
                fresh.append(files[entry.path])
        cards = _cards_among(fresh)
        for path in cards:
            del files[path]
        passed_over += len(cards)
        if not matched:
            raise InputError(f"ingest input {pattern!r} matches no file")
        if len(cards) == len(fresh) and not any(_same_source(files, source)):
            raise InputError(
                f"ingest input {pattern!r} holds no file of a known format; set ingest.format to read them all as one"
            )
    ordered = sorted(files.values(), key=lambda file: (file.source, file.path))
    return Inputs(
        files=tuple(ordered), num_passed_over=passed_over + num_unknown, num_unknown=num_unknown, unknown=unknown
    )


def _input_file(entry: "_Entry", kind: str, source: str) -> InputFile:
    """An input file.

    Raises:
        InputError: its name is not UTF-8, so no table could name it.
    """
    try:
        entry.path.encode()
    except UnicodeEncodeError:
        raise InputError(f"the name of the ingest input {entry.path!r} is not UTF-8; rename it") from None
    return InputFile(
        path=entry.path, kind=kind, source=source, name=entry.name, num_bytes=entry.num_bytes, stamp=entry.stamp
    )


def _cards_among(files: Sequence[InputFile]) -> list[str]:
    """The cards that lie beside data, of the files of one input: CSV beside data is a table about it."""
    cards = [file.path for file in files if file.kind == "csv" or posixpath.basename(file.path).lower() in _CARDS]
    known = set(cards)
    data = any(file.kind in ("parquet", "jsonl", "warc", "arrow") and file.path not in known for file in files)
    return cards if data else []


def _same_source(files: dict[str, InputFile], source: str) -> Iterator[bool]:
    return (file.source == source for file in files.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    path: str
    name: str
    num_bytes: int
    stamp: str
    kind: str = ""  # where a manifest tells


def _all_entries(wanted: Sequence[tuple[str, str]], config: IngestConfig) -> Iterator[Iterable[tuple["_Entry", bool]]]:
    """The files behind each input, in order. Lists name tens of thousands of objects: many are asked for at a time."""
    if len(wanted) <= _LOOKUPS:
        yield from (_entries(pattern, config) for _, pattern in wanted)
        return
    with ThreadPoolExecutor(_LOOKUPS) as pool:
        yield from pool.map(lambda each: list(_entries(each[1], config)), wanted)


def _entries(pattern: str, config: IngestConfig) -> Iterator[tuple[_Entry, bool]]:
    """The files behind one input, and whether each was named by the user rather than found in a folder."""
    if is_local(pattern):
        yield from _local_entries(os.path.abspath(os.path.expanduser(on_disk(pattern))), config)
    else:
        yield from _remote_entries(pattern, config)


def _local_entries(pattern: str, config: IngestConfig) -> Iterator[tuple[_Entry, bool]]:
    named = (
        [pattern]
        if os.path.exists(pattern) or not _GLOB_CHARACTERS & set(pattern)
        else sorted(path for path in glob.glob(pattern, recursive=True) if _is_readable_kind(path))
    )
    for path in named:
        if os.path.isdir(path):
            found = _run_entries(path, config)
            yield from ((entry, False) for entry in (_local_folder(path, path) if found is None else found))
        elif is_special(path):
            raise InputError(
                f"ingest input {path!r} is a pipe, a socket or a device; files are read more than once, so save what it gives as one"
            )
        elif os.path.exists(path):
            yield _local_entry(path, os.path.basename(path), os.stat(path)), True
        else:
            raise InputError(f"ingest input {path!r} does not exist")


def _is_readable_kind(path: str) -> bool:
    """Whether what a pattern has found is a file or a folder: a link that leads nowhere, a pipe or a device is neither."""
    return os.path.isfile(path) or os.path.isdir(path)


def _run_entries(folder: str, config: IngestConfig) -> list[_Entry] | None:
    """The files of a run or of one of its datasets, in place of all that lie there; None for other folders."""
    files = run_files(folder, config)
    if files is None:
        return None
    return [
        _Entry(
            path=file.path, name=file.path[len(folder) + 1 :], num_bytes=file.num_bytes, stamp=file.sha256, kind=kind
        )
        for file, kind in files
    ]


def _local_folder(folder: str, root: str, above: frozenset[str] = frozenset()) -> Iterator[_Entry]:
    """The files below `folder`, hidden ones and those that begin with an underscore left out.

    A link to a folder that it lies in (one of `above`) is not followed; one that leads nowhere is no file.
    """
    above |= {os.path.realpath(folder)}
    try:
        with os.scandir(folder) as entries:
            children = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror}") from None
    for child in children:
        if child.name.startswith((".", "_")):
            continue
        if os.path.isdir(child.path):
            _refuse_run(child.path, _is_run(child.path), root)
            if os.path.realpath(child.path) not in above:
                yield from _local_folder(child.path, root, above)
        elif os.path.isfile(child.path):
            yield _local_entry(child.path, os.path.relpath(child.path, root).replace(os.sep, "/"), child.stat())


def _is_run(folder: str) -> bool:
    return os.path.isfile(join(folder, RUN_FILE)) and os.path.isdir(join(folder, PAGES))


def _refuse_run(folder: str, is_run: bool, root: str) -> None:
    """Keeps the files that a run consists of from being read as data.

    Raises:
        InputError: the folder is that of a run.
    """
    if is_run:
        raise InputError(f"the ingest input {root} holds the run {folder}; name the run itself, or what lies beside it")


def _local_entry(path: str, name: str, status: os.stat_result) -> _Entry:
    return _Entry(path=path, name=name, num_bytes=status.st_size, stamp=str(status.st_mtime_ns))


def _remote_entries(pattern: str, config: IngestConfig) -> Iterator[tuple[_Entry, bool]]:
    fs, inner = filesystem(pattern)
    with naming(pattern):
        try:
            info = fs.info(inner)
        except FileNotFoundError:
            if not _GLOB_CHARACTERS & set(inner):
                raise InputError(f"ingest input {pattern!r} does not exist") from None
            yield from _remote_matches(fs, inner)
            return
        if info["type"] == "file":
            yield _remote_entry(fs, info, posixpath.dirname(inner)), True
            return
        run = _run_entries(pattern.rstrip("/"), config)
        if run is not None:
            yield from ((entry, False) for entry in run)
            return
        found = fs.find(inner, detail=True)
    for path, info in sorted(found.items()):
        entry = _remote_entry(fs, info, inner)
        _refuse_run(posixpath.dirname(path), entry.name.endswith("/" + RUN_FILE), pattern)
        if not any(part.startswith((".", "_")) for part in entry.name.split("/")) and path:
            yield entry, False


def _remote_matches(fs: fsspec.AbstractFileSystem, pattern: str) -> Iterator[tuple[_Entry, bool]]:
    found = fs.glob(pattern, detail=True)
    fixed = pattern[: min(pattern.find(character) for character in _GLOB_CHARACTERS if character in pattern)]
    for _, info in sorted(found.items()):
        if info["type"] == "file":
            yield _remote_entry(fs, info, posixpath.dirname(fixed)), True


def _remote_entry(fs: fsspec.AbstractFileSystem, info: dict[str, Any], root: str) -> _Entry:
    stamp = next((str(info[key]) for key in _STAMPS if info.get(key)), "")
    path = str(info["name"])
    name = path[len(root.rstrip("/")) :].lstrip("/") if path.startswith(root.rstrip("/")) else posixpath.basename(path)
    return _Entry(path=fs.unstrip_protocol(path), name=name, num_bytes=int(info.get("size") or 0), stamp=stamp)


def _kind(entry: _Entry, explicit: bool, config: IngestConfig) -> str:
    """The format of a file, or empty for one in a folder that shows none by its name."""
    if entry.kind:
        return entry.kind
    if config.format != "auto":
        kind: str = config.format
    else:
        kind = kind_by_name(posixpath.basename(entry.path)) or (_kind_of_named(entry.path) if explicit else "")
    return f"text_{config.text_unit}" if kind == "text" and config.text_unit != "file" else kind


def _kind_of_named(path: str) -> str:
    """The format of a file that the user named and whose ending says nothing that we read.

    Raises:
        InputError: its ending or its bytes show a format that ingest does not read.
    """
    ending = posixpath.splitext(path)[1].lower()
    if ending in _UNREAD:
        raise InputError(
            f"{path}: ingest does not read {ending} files; convert it to JSON lines or Parquet, or set ingest.format"
        )
    return kind_by_content(path)


def kind_by_name(name: str) -> str:
    """The format that the name of a file shows, compression left aside, or empty."""
    name = name.lower()
    while name.endswith(_PACKED):
        name = name.rpartition(".")[0]
    if _ARCHIVE_PARTS & set(name.split(".")[1:]):
        return "warc"
    return _KINDS.get(posixpath.splitext(name)[1], "")


def kind_by_content(path: str) -> str:
    """The format that the first bytes of a file show.

    Raises:
        InputError: none; the sentence says what to set.
    """
    with open_stream(path) as stream:
        head = stream.peek(2048)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"WARC/", b"filedesc:")):
        return "warc"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"ARROW1"):
        return "arrow"
    if start.startswith(b"{"):
        return "jsonl"
    if start.startswith(b"<"):
        return "html"
    if b"\0" not in head and not start.startswith(b"%PDF-"):
        return "text"
    raise InputError(f"{path} is of no known format; set ingest.format, or leave it out of ingest.inputs")
