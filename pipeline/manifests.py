"""What makes a dataset complete: its manifest, which is written last.

It names every file with its SHA-256, size and record count, and holds no clock, so equal inputs and settings give
equal bytes.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.atomic import FileEntry
from pipeline.errors import DataError, InputError
from pipeline.places import join
from pipeline.storage import checksum, exists, read_json, write_json

MANIFEST = "manifest.json"
RUN_FILE = "run.toml"  # in the folder of a run: every setting that it was made with
FORMAT = 1
# The command that makes a dataset, for people who gave theirs too early.
_MADE_BY = {
    "pages": "crawl or ingest",
    "filtered": "curate",
    "documents": "curate",
    "counts": "count",
    "tokenizer": "train-tokenizer",
    "shards": "pack",
    "model": "train",
    "evaluation": "evaluate",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What makes a dataset complete: its files, and the settings and inputs that made it.

    `fingerprint` names the work (job, settings, inputs); two attempts at the same work have the
    same one. `inputs` maps the name of each input dataset to its content. `content` is a hash of
    what downstream work depends on, where that is less than all bytes of all files; else empty.
    """

    kind: str
    fingerprint: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    files: tuple[FileEntry, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    content: str = ""
    format: int = FORMAT

    @property
    def num_records(self) -> int:
        """Records in all files together."""
        return sum(entry.num_records for entry in self.files)


def hash_of(value: object) -> str:
    """The SHA-256 of a JSON value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def write_manifest(folder: str, manifest: Manifest) -> None:
    """Makes the dataset in `folder` complete. Entries must already be relative to `folder`."""
    write_json(join(folder, MANIFEST), asdict(manifest))


def read_manifest(folder: str) -> Manifest:
    """The manifest of a complete dataset.

    Raises:
        InputError: there is none, so the dataset is missing or incomplete.
        DataError: it is damaged or of a newer format.
    """
    path = join(folder, MANIFEST)
    if not exists(path):
        command = _MADE_BY.get(folder.rstrip("/").rpartition("/")[2])
        remedy = f"; corpusmill {command} makes it" if command else ""
        raise InputError(f"{folder} is not a complete dataset: it has no {MANIFEST}{remedy}")
    value = read_json(path)
    try:
        if value["format"] > FORMAT:
            raise DataError(f"{path} has format {value['format']}; this version reads up to {FORMAT}")
        files = tuple(FileEntry(**entry) for entry in value.pop("files"))
        return Manifest(files=files, **value)
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}") from None


def dataset_files(folder: str) -> list[str]:
    """The files that the manifest of `folder` names, as whole paths, in the order of the manifest."""
    return [join(folder, entry.path) for entry in read_manifest(folder).files]


def damaged_files(folder: str) -> Iterator[str]:
    """One sentence for each file of the dataset that is missing or not what its manifest says."""
    for entry in read_manifest(folder).files:
        if fault := damage_of(folder, entry):
            yield fault


def damage_of(folder: str, entry: FileEntry) -> str:
    """A sentence if a file of the dataset in `folder` is missing or not what its manifest says; else empty."""
    path = join(folder, entry.path)
    if not exists(path):
        return f"{path} is missing"
    sha256, num_bytes = checksum(path)
    if (sha256, num_bytes) == (entry.sha256, entry.num_bytes):
        return ""
    return f"{path} has changed: SHA-256 {sha256[:12]}…, {num_bytes} bytes; the manifest says {entry.sha256[:12]}…, {entry.num_bytes} bytes"
