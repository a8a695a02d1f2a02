"""Exports RUN/shards for other trainers: one dataset a split and source in OUT/<split>/.

`megatron`: `<source>.bin` and `.idx`; `mds`: a folder `<source>/` of MosaicML shards; `npy`: `<source>.npy`.
OUT gets a manifest of its own, so an export that is up to date is skipped.
"""

import posixpath
import time
from typing import TYPE_CHECKING, Any, get_args

from jobs.engine import Engine
from jobs.lock import held
from jobs.progress import Progress
from jobs.times import duration
from pipeline import steps
from pipeline.atomic import FileEntry
from pipeline.errors import SettingError
from pipeline.manifests import Manifest, read_manifest
from pipeline.pack.export import Format, export_source
from pipeline.pack.shards import SPLITS, ShardSet, has_split
from pipeline.places import join
from pipeline.steps import Receipt, Step

if TYPE_CHECKING:
    from jobs.config import RunConfig


def main(
    config: "RunConfig",
    engine: Engine | None = None,
    *,
    format: Format = "megatron",
    out: str = "",
    force: bool = False,
) -> Manifest:
    """The manifest of the export, by default in RUN/export/<format>. Beam has no part in it."""
    return export_run(config.run.folder, format, out, force=force)


def export_run(run: str, format: Format, out: str = "", *, force: bool = False) -> Manifest:
    """As `main`, for the run in folder `run`.

    Raises:
        SettingError: there is no such format, or the folder holds something else than an earlier export.
        InputError: the run has no shards.
        CorpusmillError: another process writes there.
    """
    if format not in get_args(Format):
        raise SettingError(f"format is {format!r}; allowed are {', '.join(get_args(Format))}")
    shards = join(run, "shards")
    base, name = (run, f"export/{format}") if not out else _parted(out)
    step = Step(
        run=base, name=f"export-{name}" if out else "export", outputs=(name,), settings={"format": format},
        inputs={"shards": shards},
    )  # fmt: skip
    if not force and step.is_current():
        Progress.note(f"export to {format}: up to date")
        return read_manifest(step.folder(name))
    started = time.monotonic()
    step.check_place()
    with held(base):
        step.begin(force=True)
        entries = _export(shards, step.folder(name), format)
        steps.write_receipt(step.attempt_folder, Receipt(shard="all", files={name: tuple(entries)}))
        manifest = step.commit(["all"])
    Progress.note(
        f"export to {format}: {len(entries):,} files, in {duration(time.monotonic() - started)} → {step.folder(name)}"
    )
    return manifest


def _export(shards: str, folder: str, format: Format) -> list[FileEntry]:
    sets: list[Any] = [ShardSet.open(shards, split) for split in SPLITS if has_split(shards, split)]
    parts = [(rows, source) for rows in sets for source in rows.sources]
    entries: list[FileEntry] = []
    with Progress(f"export to {format}", total=len(parts), unit="sources") as progress:
        for number, (rows, source) in enumerate(parts, 1):
            entries += export_source(rows, source, join(folder, rows.split), format)
            progress.set(number)
    return entries


def _parted(out: str) -> tuple[str, str]:
    """The folder that holds the folder `out`, and its name.

    Raises:
        SettingError: no folder holds it.
    """
    path = out.rstrip("/") if "://" in out else posixpath.normpath(out)
    parent, _, name = path.rpartition("/")
    if name in ("", ".", "..") or parent.endswith(":/"):
        raise SettingError(f"out is {out!r}; allowed is the name of a folder inside of another")
    return parent or ("/" if path.startswith("/") else "."), name
