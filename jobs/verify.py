"""Recomputes what a run claims: every checksum of every dataset, the closed ledger, every token of the shards.

Of the shards: each document of `documents` is there once, whole, in its place, and nothing else is.
"""

import os
from collections.abc import Iterator

from jobs import ledger
from jobs.config import DATASETS
from jobs.progress import Progress
from jobs.replaced import REPLACED
from pipeline import manifests, storage
from pipeline.disk import is_link
from pipeline.errors import CorpusmillError, DataError, InputError
from pipeline.manifests import MANIFEST
from pipeline.pack.format import SHARDS
from pipeline.pack.verification import shard_problems
from pipeline.places import is_local, join, on_disk
from pipeline.steps import ATTEMPTS, content_of

DOCUMENTS = "documents"


def main(run: str) -> str:
    """One line of praise.

    Raises:
        InputError: there is no run in that folder.
        DataError: something is not as the manifests say; all findings are printed first.
    """
    folders = datasets(run)
    if not folders:
        raise InputError(f"{run} is no run: it holds no complete dataset")
    faults = list(_faults(run, folders))
    for fault in faults:
        Progress.note(f"verify: {fault}")
    if faults:
        raise DataError(
            f"{run} does not verify: {len(faults)} finding{'s' * (len(faults) != 1)}, the first: {faults[0]}"
        )
    files = sum(len(manifests.read_manifest(folder).files) for folder in folders)
    shards = ", the shards hold each document once" if join(run, SHARDS) in folders else ""
    return f"{run}: {len(folders)} datasets and {files} files are as their manifests say{shards}, and the ledger closes"


def datasets(run: str) -> list[str]:
    """The folders of all complete datasets of a run; not of what was set aside."""
    manifests = (path for path in _files(run) if path.endswith("/" + MANIFEST))
    found = (path.removesuffix("/" + MANIFEST) for path in manifests if not _passed_over("/" + path[len(run) :]))
    return sorted(folder for folder in found if not _is_round(run, folder))


def _files(run: str) -> Iterator[str]:
    """The files of a run, and those of the datasets that lie elsewhere and are linked to."""
    yield from storage.list_files(run)
    for root, names, _ in os.walk(on_disk(run)) if is_local(run) else ():
        below = os.path.relpath(root, on_disk(run)).replace(os.sep, "/")
        for folder in (join(run, name) if below == "." else join(run, below, name) for name in names):
            if is_link(folder):
                yield from storage.list_files(folder)


def _passed_over(path: str) -> bool:
    """Whether a file of a run (its path in it) belongs to an attempt, or to what was set aside, which is verified like a run."""
    return any(f"/{folder}/" in path for folder in (ATTEMPTS, REPLACED))


def _is_round(run: str, folder: str) -> bool:
    """Whether `folder` is a round of a crawl: its manifest belongs to the crawl, which `pages` sums up."""
    return folder.startswith(join(run, "pages", "round-"))


def _faults(run: str, folders: list[str]) -> Iterator[str]:
    damaged: set[str] = set()
    with Progress("verify", total=len(folders), unit="datasets") as progress:
        for number, folder in enumerate(folders, start=1):
            for fault in _said(manifests.damaged_files(folder)):
                damaged.add(folder)
                yield fault
            progress.set(number)
    yield from _incomplete(run)
    shards = join(run, SHARDS)
    if shards in folders and not damaged & {shards, join(run, DOCUMENTS)}:
        yield from _said(shard_problems(shards, _documents_of(run, shards)))
    yield from (
        fault for fault in _said(ledger.differences(run)) if not damaged
    )  # it would say the same in other words


def _said(faults: Iterator[str]) -> Iterator[str]:
    """`faults`, and what ended the search for them."""
    try:
        yield from faults
    except CorpusmillError as error:
        yield str(error)


def _incomplete(run: str) -> Iterator[str]:
    """One sentence for each dataset that has files but no manifest, where no step is under way that makes it."""
    if storage.list_files(join(run, ATTEMPTS)):
        return
    for folder in (join(run, name) for name in DATASETS):
        if storage.list_files(folder) and not any(path.endswith(f"/{MANIFEST}") for path in storage.list_files(folder)):
            yield f"{folder} holds files, but its {MANIFEST} is missing"


def _documents_of(run: str, shards: str) -> str:
    """The folder of the documents that the shards were made of, or empty where it holds others by now."""
    folder = join(run, DOCUMENTS)
    if not storage.exists(join(folder, MANIFEST)):
        return ""
    same = content_of(manifests.read_manifest(folder)) == manifests.read_manifest(shards).inputs.get(DOCUMENTS)
    return folder if same else ""
