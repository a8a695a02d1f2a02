"""What a corpus is made of: pages and text by host, domain, suffix, language, source or a kept field, and how its measures are spread.

Reads RUN/pages, RUN/documents (or RUN/filtered before deduplication), RUN/rejected and RUN/measures; prints tables, and
writes all groups as CSV if asked. Files are read one after the other; memory grows with the number of groups alone, and
the spread of the measures is that of a sample by id, which is a hash: the same documents whatever the order of the files.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from jobs.progress import Progress
from jobs.replay import Rulebook, decided_by
from pipeline.atomic import AtomicFile
from pipeline.corpus import FILTERED, MEASURES, REJECTED
from pipeline.disk import followed
from pipeline.errors import InputError, SettingError
from pipeline.manifests import MANIFEST, dataset_files
from pipeline.places import join
from pipeline.storage import exists
from pipeline.tables import KEPT, document_schema, read_batches
from pipeline.urls import domain_of_host

if TYPE_CHECKING:
    from jobs.config import RunConfig

BY_DEFAULT = "domain"
BY = ("host", "domain", "suffix", "language", "source")
SAMPLE = 100_000
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
_OF_PAGES = ("host", "domain", "suffix")  # what was refused has nothing else
_KEPT = ""  # the reason of a document that was kept
_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]+)"
_NONE = "(none)"
_NUMBERED = "threshold_language"  # a row of a table, and no amount
_COUNTS = ("documents", "characters")
# More rows than this are added up before more are read.
_MOST_ROWS = 1 << 20


def main(
    config: "RunConfig", *, by: str = BY_DEFAULT, top: int = 20, out: str = "", quantiles: Sequence[float] = QUANTILES
) -> None:
    """Prints the tables; `out` names a CSV file for all groups, `quantiles` are those of the measures.

    Raises:
        InputError: there is no such run, or it has no pages that were judged.
    """
    run = config.run.folder
    groups = grouped(run, by)
    print("\n".join(group_lines(groups, by, top)))
    if out:
        _write_csv(groups, by, out)
        Progress.note(f"stats: {groups.num_rows:,} group{'s' * (groups.num_rows != 1)} → {out}")
    if exists(join(run, MEASURES, MANIFEST)):
        print()
        print("\n".join(measure_lines(join(run, MEASURES), Rulebook.of(decided_by(config)), quantiles)))


def grouped(run: str, by: str) -> pa.Table:
    """For each group: its `key`, `pages` that came in, `documents` and `characters` that were kept, and why most others were not.

    Sorted by characters, then pages, then key. What was refused has no language, no source and no
    fields of its input, so these are told of documents alone.

    Raises:
        InputError: there are no documents.
        SettingError: `by` is neither known nor a field that any document has.
    """
    kept = kept_dataset(run)
    folders = {kept: join(run, kept)}
    if by in _OF_PAGES:
        names = (REJECTED, "rejected/dedup") if kept == "documents" else (REJECTED,)
        folders |= {name: join(run, name) for name in names}
    files = [(name, path) for name, folder in folders.items() for path in dataset_files(folder)]
    check_by(run, by, [path for _, path in files])
    sums: pa.Table | None = None
    waiting: list[pa.Table] = []
    with Progress("stats", total=len(files), unit="files") as progress:
        for number, (name, path) in enumerate(files, start=1):
            waiting += [_counted(batch) for batch in _batches(path, by, kept=name == kept)]
            if sum(table.num_rows for table in waiting) > _MOST_ROWS or number == len(files):
                sums = _summed([*([sums] if sums is not None else []), *waiting])
                waiting = []
            progress.set(number)
    groups = _by_key(sums if sums is not None else _counted(pa.table({"key": [], "reason": [], "characters": []})))
    check_found(run, by, groups["key"].to_pylist())
    return groups


def kept_dataset(run: str) -> str:
    """The dataset of the documents that were kept: after deduplication, or before it.

    Raises:
        InputError: there is none.
    """
    kept = next((name for name in ("documents", FILTERED) if exists(join(run, name, MANIFEST))), None)
    if kept is None:
        raise InputError(f"{run} has no documents to tell of; `corpusmill curate` makes them")
    return kept


def check_by(run: str, by: str, files: Sequence[str]) -> None:
    """Raises a `SettingError` if documents cannot be grouped by `by`."""
    if by not in BY and not all(KEPT in document_schema(path).names for path in files[:1]):
        raise SettingError(
            f"--by is {by!r}; allowed are {', '.join(BY)}, and fields that ingest.fields.keep has kept: {run} has none"
        )


def check_found(run: str, by: str, keys: Sequence[str]) -> None:
    """Raises a `SettingError` if no document has the field `by` of its input."""
    if by not in BY and list(keys) == [_NONE]:
        raise SettingError(f"--by is {by!r}; no document of {run} has a field of this name that was kept")


def column_of(by: str) -> str:
    """The column of documents that tells the group."""
    return "url" if by in _OF_PAGES else by if by in BY else KEPT


def _batches(path: str, by: str, *, kept: bool) -> Iterator[pa.Table]:
    """Key, reason and characters of the rows of one file."""
    column = column_of(by)
    for batch in read_batches(path, [column, "text"] if kept else [column, "stage", "reason"], 4096):
        reasons = pa.array([_KEPT] * batch.num_rows) if kept else pc.binary_join_element_wise(batch["stage"], batch["reason"], ": ")  # fmt: skip
        lengths = pc.utf8_length(batch["text"]) if kept else pa.array([0] * batch.num_rows, pa.int64())
        yield pa.table({"key": keys_of(batch[column], by), "reason": reasons, "characters": lengths.cast(pa.int64())})


def _fields(kept: pa.Array, name: str) -> pa.Array:
    """A field of the input that was kept, as text, row by row."""
    values = [json.loads(row).get(name) for row in kept.to_pylist()]
    texts = [value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]  # fmt: skip
    return pa.array(texts, pa.string())


def keys_of(column: pa.Array, by: str) -> pa.Array:
    """The group of each row, from the column that tells it."""
    key = (column if by in BY else _fields(column, by)).cast(pa.string())
    if by in _OF_PAGES:
        key = pc.utf8_lower(pc.struct_field(pc.extract_regex(key, _HOST), "host"))
    key = pc.fill_null(pc.if_else(pc.equal(key, ""), None, key), _NONE)
    if by not in ("domain", "suffix"):
        return key
    encoded = pc.dictionary_encode(key)
    names = [_shortened(name, by) for name in encoded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(encoded.indices)


def _counted(rows: pa.Table) -> pa.Table:
    """The sums of a batch by key and reason."""
    ones = pa.array(np.ones(rows.num_rows, np.int64))
    columns = [
        rows["key"].cast(pa.string()),
        rows["reason"].cast(pa.string()),
        ones,
        rows["characters"].cast(pa.int64()),
    ]
    return _summed([pa.table(columns, names=["key", "reason", *_COUNTS])])


@cache
def _shortened(host: str, by: str) -> str:
    """The domain of a host, or what is registered under: `bbc.co.uk`, `co.uk`."""
    if host == _NONE or host.startswith("[") or host.replace(".", "").isdigit():
        return host
    domain = domain_of_host(host)
    return domain if by == "domain" else domain.partition(".")[2] or domain


def _summed(tables: Sequence[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(tables).group_by(["key", "reason"]).aggregate([(name, "sum") for name in _COUNTS])
    return whole.select(["key", "reason", *(f"{name}_sum" for name in _COUNTS)]).rename_columns(["key", "reason", *_COUNTS])  # fmt: skip


def _by_key(sums: pa.Table) -> pa.Table:
    """One row for each key, the largest first."""
    kept = pc.equal(sums["reason"], _KEPT)
    sums = sums.append_column("kept", pc.if_else(kept, sums["documents"], 0))
    keys = sums.group_by("key").aggregate([("documents", "sum"), ("kept", "sum"), ("characters", "sum")])
    keys = keys.select(["key", "documents_sum", "kept_sum", "characters_sum"]).rename_columns(["key", "pages", "documents", "characters"])  # fmt: skip
    refused = sums.filter(pc.invert(kept)).sort_by([("key", "ascending"), ("documents", "descending"), ("reason", "ascending")])  # fmt: skip
    chief = dict(zip(reversed(refused["key"].to_pylist()), reversed(refused["reason"].to_pylist()), strict=True))
    keys = keys.append_column("chief_reason", pa.array([chief.get(key, "") for key in keys["key"].to_pylist()], pa.string()))  # fmt: skip
    return keys.sort_by([("characters", "descending"), ("pages", "descending"), ("key", "ascending")])


def group_lines(groups: pa.Table, by: str, top: int) -> Iterator[str]:
    """The table of the largest groups as text, and what the others hold together."""
    judged = by in _OF_PAGES
    rows = groups.slice(0, top).to_pylist()
    whole, rest = _totals(groups), _totals(groups.slice(top))
    of_pages = f" of {whole['pages']:,} pages" if judged else ""
    yield f"{groups.num_rows:,} group{'s' * (groups.num_rows != 1)} by {by}: {whole['documents']:,} documents{of_pages}, {whole['characters']:,} characters"
    pages = f"{'pages':>10} " if judged else ""
    yield f"{by:40} {pages}{'documents':>10} {'kept  ' if judged else ''}{'characters':>14} {'share':>6}" + (
        "  chief reason of the others" if judged else ""
    )
    if left := groups.num_rows - len(rows):
        rows.append({"key": f"({left:,} more)", "chief_reason": "", **rest})
    for row in rows:
        name = row["key"] if len(row["key"]) <= 40 else row["key"][:39] + "…"
        share = row["characters"] / (whole["characters"] or 1)
        pages, kept = f"{row['pages']:>10,} ", f"{row['documents'] / row['pages']:>4.0%}  "
        line = f"{name:40} {pages if judged else ''}{row['documents']:>10,} {kept if judged else ''}{row['characters']:>14,} {share:>6.1%}"
        yield f"{line}  {row['chief_reason']}".rstrip()


def _totals(groups: pa.Table) -> dict[str, int]:
    return {name: pc.sum(groups[name]).as_py() or 0 for name in ("pages", "documents", "characters")}


def _write_csv(groups: pa.Table, by: str, path: str) -> None:
    told = groups if by in _OF_PAGES else groups.select(["key", *_COUNTS])
    table = told.rename_columns([by, *told.column_names[1:]])
    with AtomicFile(followed(path)) as file:
        pa_csv.write_csv(table, pa.PythonFile(file, mode="w"))


def measure_lines(folder: str, book: Rulebook, quantiles: Sequence[float] = QUANTILES) -> Iterator[str]:
    """`quantiles` of each measure, over kept and refused documents, beside what the rules ask for."""
    sample = sampled(folder)
    kept = np.asarray(pc.equal(sample["decision"], "kept"))
    limits: dict[str, list[str]] = {}
    for rule, threshold in book.rules:
        limits.setdefault(rule.measure, []).append(f"{'≥' if rule.fails == '<' else '≤'} {threshold:g}")
    names = [f"{100 * quantile:g}%" for quantile in quantiles]
    yield f"quantiles of the measures of {kept.sum():,} documents that the filter kept and {(~kept).sum():,} that it refused"
    yield f"{'measure':28} {'':8}" + "".join(f"{name:>10}" for name in names) + "  asked for"
    for name in sample.drop_columns(["id", "decision", *({_NUMBERED} & set(sample.column_names))]).column_names:
        values = sample[name].to_numpy(zero_copy_only=False)
        told = [(word, values[chosen & ~np.isnan(values)]) for word, chosen in (("kept", kept), ("refused", ~kept))]
        for row, (word, found) in enumerate(each for each in told if len(each[1])):
            asked = " and ".join(dict.fromkeys(limits.get(name, ()))) if not row else ""
            marks = "".join(f"{value:>10.4g}" for value in np.quantile(found, quantiles))
            yield f"{name if not row else '':28} {word:8}{marks}  {asked}".rstrip()


def sampled(folder: str, number: int = SAMPLE) -> pa.Table:
    """The rows of a measures dataset with the `number` smallest ids."""
    held: list[pa.Table] = []
    files = dataset_files(folder)
    with Progress("measures", total=len(files), unit="files") as progress:
        for done, path in enumerate(files, start=1):
            held += [pa.Table.from_batches([batch]) for batch in read_batches(path, batch_rows=8192)]
            if sum(table.num_rows for table in held) > 2 * number or done == len(files):
                held = [_smallest(held, number)]
            progress.set(done)
    if not held:
        raise InputError(f"{folder} has no measures")
    return held[0]


def _smallest(tables: Iterable[pa.Table], number: int) -> pa.Table:
    whole = pa.concat_tables(tables)
    return whole.take(pc.select_k_unstable(whole, min(number, whole.num_rows), sort_keys=[("id", "ascending")]))
