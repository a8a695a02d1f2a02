"""Adds up count tables: TABLE… → one table, as if all their documents had been counted together.

In: folders that `jobs.count` made, with the same pattern and length limit. Out: a folder of the same form.
A table that was pruned is a fair input, but what it dropped stays dropped; the sum is noted.
"""

import os
import time
from collections.abc import Sequence

import pyarrow as pa

from jobs.lock import held
from jobs.progress import Progress
from jobs.times import duration
from pipeline.count.config import CountConfig
from pipeline.count.loading import read_table
from pipeline.count.stage import COUNTS, partition_of
from pipeline.count.table import (
    GROUPS_FILE,
    GroupKey,
    TableInfo,
    merged_groups,
    pruned,
    read_info,
    summed,
    with_dropped,
    write_info,
    write_rows,
)
from pipeline.errors import InputError, SettingError
from pipeline.manifests import Manifest, read_manifest
from pipeline.places import is_local, join
from pipeline.steps import Receipt, Step, write_receipt

_RECEIPT = "merged"


def main(output: str, tables: Sequence[str], *, min_count: int = 1, force: bool = False) -> Manifest:
    """The manifest of the table in the folder `output`/counts, the sum of `tables` (folders), pruned below `min_count`.

    Raises:
        SettingError: OUT/counts is something else than an earlier sum, or one of the tables to add.
        InputError: tables were counted in different ways.
        DataError: a table is damaged.
        CorpusmillError: another process writes there.
    """
    CountConfig(min_count=min_count)  # refuses what is out of range
    infos = [read_info(join(table, GROUPS_FILE)) for table in tables]
    _check_alike(tables, infos)
    step = Step(
        run=output, name=COUNTS, outputs=(COUNTS,), settings={"min_count": min_count},
        inputs={f"{number:04d}": table for number, table in enumerate(tables)},
    )  # fmt: skip
    if not force and step.is_current():
        Progress.note("merge-counts: up to date")
        return read_manifest(step.folder(COUNTS))
    started = time.monotonic()
    step.check_place()
    _check_apart(step.folder(COUNTS), tables)
    with held(output):
        step.begin(force=force)
        manifest = _merge(step, tables, infos, min_count)
    Progress.note(
        f"merge-counts: {manifest.counts['rows']:,} rows of {manifest.counts['read']:,} documents from {len(tables)} "
        f"table{'s' * (len(tables) != 1)}, in {duration(time.monotonic() - started)} → {step.folder(COUNTS)}"
    )
    return manifest


def _merge(step: Step, tables: Sequence[str], infos: Sequence[TableInfo], min_count: int) -> Manifest:
    groups = merged_groups(info.groups for info in infos)
    place_of = {group.key: place for place, group in enumerate(groups)}
    folder = step.folder(COUNTS)
    entries = []
    partitions = infos[0].partitions
    for partition in range(partitions):
        where = join(folder, f"part-{partition:05d}.arrow")
        rows = summed(
            [
                _renumbered(table, info, place_of, partition, partitions)
                for table, info in zip(tables, infos, strict=True)
            ],
            where=where,
        )
        kept, mass = pruned(rows, min_count)
        groups = with_dropped(groups, mass)
        entries.append(write_rows(where, kept))
    least = max(min_count, *(info.min_count for info in infos))
    first = infos[0]
    info = TableInfo(
        pattern=first.pattern,
        max_pretoken_bytes=first.max_pretoken_bytes,
        min_count=least,
        partitions=partitions,
        groups=groups,
    )
    entries.append(write_info(join(folder, GROUPS_FILE), info))
    counts = {"rows": sum(entry.num_records for entry in entries), "read": sum(group.documents for group in groups)}
    write_receipt(step.attempt_folder, Receipt(shard=_RECEIPT, files={COUNTS: tuple(entries)}))
    return step.commit([_RECEIPT], counts=counts)


def _renumbered(
    table: str, info: TableInfo, place_of: dict[GroupKey, int], partition: int, partitions: int
) -> pa.Table:
    """The rows of one partition of a table, with the group numbers of the sum."""
    places = pa.array([place_of[group.key] for group in info.groups], pa.int32())
    if info.partitions == partitions:
        rows = read_table(table, partition)
    else:
        rows = read_table(table)
        rows = rows.filter(pa.array(partition_of(rows["pretoken"], partitions) == partition))
    return rows.set_column(1, "group", places.take(rows["group"].combine_chunks()))


def _check_apart(output: str, tables: Sequence[str]) -> None:
    for table in tables:
        if is_local(table) and os.path.realpath(table) == os.path.realpath(output):
            raise SettingError(f"the sum would replace {table}, which it is to be made from; name another folder")


def _check_alike(tables: Sequence[str], infos: Sequence[TableInfo]) -> None:
    if not tables:
        raise InputError("merge-counts needs at least one count table")
    for table, info in zip(tables[1:], infos[1:], strict=True):
        for name in ("pattern", "max_pretoken_bytes"):
            one, other = getattr(infos[0], name), getattr(info, name)
            if one != other:
                raise InputError(f"count tables differ in {name}: {tables[0]} has {one!r}, {table} has {other!r}")
