"""A run as an input of another: its pages, or its documents. Their manifest says which files are data.

Pages are taken from the page index, with their ids: what the run fetched or read and did not take for a page stays out.
The bodies are not copied; the new index points to where they lie.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipeline import manifests, storage
from pipeline.atomic import FileEntry
from pipeline.errors import DataError, InputError
from pipeline.ingest.captures import Capture, Place, Refusal
from pipeline.ingest.config import FieldNames, IngestConfig
from pipeline.ingest.payloads import found_rows, what_changed
from pipeline.manifests import MANIFEST, RUN_FILE, Manifest
from pipeline.places import join

PAGES = "pages"
# The format of the files of each dataset that holds pages or documents.
_KINDS = {PAGES: "pages", "filtered": "parquet", "documents": "parquet"}


def run_files(folder: str, config: IngestConfig) -> list[tuple[FileEntry, str]] | None:
    """The data files of a run, or of one of its datasets, with whole paths, each with its format; None for other folders.

    Raises:
        InputError: the dataset is not complete, is of another kind, or was made with other field names.
    """
    if not storage.exists(join(folder, MANIFEST)):
        pages = join(folder, PAGES)
        if not storage.exists(join(folder, RUN_FILE)) and not storage.exists(join(pages, MANIFEST)):
            return None
        return _data_files(pages, manifests.read_manifest(pages), config)
    if not _is_ours(join(folder, MANIFEST)):
        return None
    return _data_files(folder, manifests.read_manifest(folder), config)


def _is_ours(manifest: str) -> bool:
    """Whether a file of that name is one of ours: other tools write some, too."""
    try:
        value = storage.read_json(manifest)
    except DataError:
        return False
    return isinstance(value, dict) and {"kind", "fingerprint", "files", "format"} <= value.keys()


def _data_files(folder: str, manifest: Manifest, config: IngestConfig) -> list[tuple[FileEntry, str]]:
    kind = _KINDS.get(manifest.kind)
    if kind is None:
        raise InputError(
            f"{folder} is the dataset {manifest.kind!r} of a run; ingest takes a run, or its pages, filtered or documents"
        )
    if kind == "pages" and _without_kept(manifest.settings.get("fields", {})) not in (
        {},
        _without_kept(config.fields.stated()),
    ):
        raise InputError(
            f"{folder} was made with other [ingest.fields]; set them to the same, as its {RUN_FILE} has them"
        )
    return [
        (replace(entry, path=join(folder, entry.path)), kind)
        for entry in manifest.files
        if entry.path.endswith(".parquet") and (kind != "pages" or entry.path.startswith("part-"))
    ]


def _without_kept(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The field names that decide what the pages are: what is kept beside them may differ."""
    return {name: value for name, value in fields.items() if name != "keep"}


def found_in_index(index_file: str, limit: int, names: FieldNames) -> Iterator[Capture | Refusal]:
    """The pages that one part of the index of a run lists, with the fields that `names` keeps."""
    run = posixpath.dirname(posixpath.dirname(index_file))
    for row, path, found in found_rows(index_file, run, names):
        place = Place(kind=row["kind"], position=row["position"], length=row["length"] or 0, file=path)
        changed = what_changed(row, found)
        if changed or not isinstance(found, Capture):
            yield Refusal(place=place, url=row["url"], reason="payload_changed", detail=changed)
        elif len(found.payload) > limit:
            size = len(found.payload)
            yield Refusal(
                place=place,
                url=row["url"],
                reason="too_large",
                detail="the page is too large",
                value=size,
                threshold=limit,
            )
        else:
            yield replace(
                found,
                place=place,
                url=row["url"],
                media_type=row["media_type"],
                charset=row["charset"],
                date=row["date"],
            )
