"""Recomputes what a run claims: every checksum of every dataset, the closed ledger, every token of the shards.

Of the shards: each document of `documents` is there once, whole, in its place, and nothing else is.
"""

from collections.abc import Iterator

from jobs import ledger
from jobs.progress import Progress
from jobs.replaced import REPLACED
from pipeline import manifests, storage
from pipeline.errors import DataError, InputError
from pipeline.manifests import MANIFEST
from pipeline.pack.format import SHARDS
from pipeline.pack.verification import shard_problems
from pipeline.steps import ATTEMPTS, content_of
from pipeline.storage import join

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
        raise DataError(f"{run} does not verify: {len(faults)} findings, the first: {faults[0]}")
    files = sum(len(manifests.read_manifest(folder).files) for folder in folders)
    shards = ", the shards hold each document once" if join(run, SHARDS) in folders else ""
    return f"{run}: {len(folders)} datasets and {files} files are as their manifests say{shards}, and the ledger closes"


def datasets(run: str) -> list[str]:
    """The folders of all complete datasets of a run; not of what was set aside."""
    manifests = (path for path in storage.list_files(run) if path.endswith("/" + MANIFEST))
    found = (path.removesuffix("/" + MANIFEST) for path in manifests if not _passed_over("/" + path[len(run) :]))
    return [folder for folder in found if not _is_round(run, folder)]


def _passed_over(path: str) -> bool:
    """Whether a file of a run (its path in it) belongs to an attempt, or to what was set aside, which is verified like a run."""
    return any(f"/{folder}/" in path for folder in (ATTEMPTS, REPLACED))


def _is_round(run: str, folder: str) -> bool:
    """Whether `folder` is a round of a crawl: its manifest belongs to the crawl, which `pages` sums up."""
    return folder.startswith(join(run, "pages", "round-"))


def _faults(run: str, folders: list[str]) -> Iterator[str]:
    with Progress("verify", total=len(folders), unit="datasets") as progress:
        for number, folder in enumerate(folders):
            damaged = list(manifests.damaged_files(folder))
            yield from damaged
            if folder == join(run, SHARDS) and not damaged:
                yield from shard_problems(folder, _documents_of(run, folder))
            progress.set(number + 1)
    try:
        yield from ledger.differences(run)
    except DataError as error:
        yield str(error)


def _documents_of(run: str, shards: str) -> str:
    """The folder of the documents that the shards were made of, or empty where it holds others by now."""
    folder = join(run, DOCUMENTS)
    if not storage.exists(join(folder, MANIFEST)):
        return ""
    same = content_of(manifests.read_manifest(folder)) == manifests.read_manifest(shards).inputs.get(DOCUMENTS)
    return folder if same else ""
