"""How single measures are spread: mean, quantiles and histogram by host, domain, language … of the documents that were kept, or one histogram.

Reads RUN/measures and the ids of RUN/documents (or RUN/filtered before deduplication), file by file and without texts.
Numbers of documents and means are exact. Quantiles are exact for groups of up to `SAMPLE_OF_GROUP` documents; of a larger one
they are those of its smallest ids, which are hashes. Where that would be more than `SAMPLE` documents, samples are halved until
they fit: the same ones whatever the order of the files. Memory: 24 bytes a document of the sample, a few times while it is
cut, and some 200 bytes a group.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from jobs.progress import Progress
from jobs.stats import check_by, check_found, column_of, kept_dataset, keys_of, sampled
from pipeline.atomic import AtomicFile
from pipeline.corpus import MEASURES
from pipeline.dedup.plan import id_numbers
from pipeline.disk import followed
from pipeline.errors import DataError, InputError, SettingError
from pipeline.manifests import MANIFEST, dataset_files
from pipeline.places import join
from pipeline.storage import exists, open_read
from pipeline.tables import as_parquet, read_batches

SAMPLE, SAMPLE_OF_GROUP = 4_000_000, 4096
QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}
_NO_MEASURES = ("id", "decision", "threshold_language")
_MOST_BINS, _BAR = 25, 50
# A group of fewer documents has no histogram: its quantiles tell as much, and there are many such groups.
_LEAST_IN_HISTOGRAM = 10
_HEIGHTS = " ▁▂▃▄▅▆▇█"
_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)  # the bounds of a decade, where bins grow

Numbers = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]
_VALUE = np.dtype([("group", "<i8"), ("rank", "<u8"), ("value", "<f8")])


def main(run: str, measures: Sequence[str], *, by: str = "", top: int = 20, out: str = "") -> None:
    """Prints a table of each measure by group, or a histogram where `by` is empty; `out` names a CSV file for all groups.

    Raises:
        InputError: there is no such run, or it has no documents or measures.
        SettingError: there is no such measure or group.
    """
    check_measures(run, measures)
    if not by:
        sample = sampled(join(run, MEASURES))
        for name in measures:
            print("\n".join(histogram_lines(sample, name)))
        return
    table = by_group(run, by, measures)
    print("\n".join(line for name in measures for line in table_lines(table, by, name, top)))
    if out:
        with AtomicFile(followed(out)) as file:
            pa_csv.write_csv(table.rename_columns([by, *table.column_names[1:]]), pa.PythonFile(file, mode="w"))
        Progress.note(f"stats: {table.num_rows:,} rows → {out}")


def check_measures(run: str, measures: Sequence[str]) -> None:
    """Raises an `InputError` if a run has no measures, a `SettingError` if not these."""
    folder = join(run, MEASURES)
    files = dataset_files(folder) if exists(join(folder, MANIFEST)) else []
    if not files:
        raise InputError(f"{run} has no measures to tell of; `corpusmill curate` makes them")
    with as_parquet(files[0]), open_read(files[0]) as file:
        known = [name for name in pq.read_schema(file).names if name not in _NO_MEASURES]
    for name in measures:
        if name not in known:
            raise SettingError(f"--measure is {name!r}; measured were {', '.join(known)}")


class Spread:
    """One measure by group: how many documents have it, their sum, and the values of the smallest ids of each group that fit."""

    def __init__(self, most: int = SAMPLE, of_group: int = SAMPLE_OF_GROUP) -> None:
        self.of_group, self._most = of_group, most
        self.counts, self.sums = np.zeros(0, np.int64), np.zeros(0)
        self._held, self._waiting = [np.zeros(0, _VALUE)], 0

    def add(self, groups: Groups, ranks: npt.NDArray[np.uint64], values: Numbers) -> None:
        """Takes note of documents by number of their group; NaN where the measure does not apply."""
        known = ~np.isnan(values)
        rows = np.empty(int(known.sum()), _VALUE)
        rows["group"], rows["rank"], rows["value"] = groups[known], ranks[known], values[known]
        room = int(groups.max(initial=-1)) + 1
        if room > len(self.counts):
            self.counts = np.append(self.counts, np.zeros(2 * room - len(self.counts), np.int64))
            self.sums = np.append(self.sums, np.zeros(2 * room - len(self.sums)))
        self.counts += np.bincount(rows["group"], minlength=len(self.counts))
        self.sums += np.bincount(rows["group"], rows["value"], minlength=len(self.counts))
        self._held.append(rows)
        self._waiting += len(rows)
        if self._waiting > self._most // 2:
            self._cut()

    def _cut(self) -> None:
        rows = np.concatenate(self._held)
        rows = rows[np.lexsort((rows["rank"], rows["group"]))]
        sizes = np.bincount(rows["group"], minlength=len(self.counts))
        while np.minimum(sizes, self.of_group).sum() > self._most and self.of_group > 1:
            self.of_group //= 2
        places = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        self._held, self._waiting = [rows[places < self.of_group]], 0

    def groups(self) -> tuple[Groups, dict[str, Numbers], Numbers, list[str]]:
        """The groups with the measure: their numbers; how many documents, their mean and quantiles as numpy has them; then the
        bounds between the bins of all groups, and how many values each has in each bin, as numbers with spaces between.
        """
        self._cut()
        (rows,) = self._held
        rows = rows[np.lexsort((rows["value"], rows["group"]))]
        numbers, starts, sizes = np.unique(rows["group"], return_index=True, return_counts=True)
        counts = self.counts[numbers]
        shares = {name: _between(rows["value"], starts + share * (sizes - 1)) for name, share in QUANTILES.items()}
        told = {"documents": counts, "mean": self.sums[numbers] / counts, **shares}
        bounds = bin_bounds(rows["value"]) if len(rows) else np.zeros(0)
        places = np.searchsorted(bounds, rows["value"], "right")
        parts = zip(starts.tolist(), sizes.tolist(), strict=True)
        return numbers, told, bounds, [_in_bins(places[at : at + size], len(bounds) + 1) for at, size in parts]


def _in_bins(places: Groups, num_bins: int) -> str:
    if len(places) < _LEAST_IN_HISTOGRAM:
        return ""
    return " ".join(map(str, np.bincount(places, minlength=num_bins).tolist()))


def _between(values: Numbers, places: Numbers) -> Numbers:
    """The values at places between two."""
    low, high = np.floor(places).astype(np.int64), np.ceil(places).astype(np.int64)
    return values[low] + (values[high] - values[low]) * (places - low)


def by_group(run: str, by: str, measures: Sequence[str], most: int = SAMPLE) -> pa.Table:
    """A row for each measure and group of documents that have it: key, measure, documents, mean, p10, median, p90, histogram, bounds.

    The measures as they were asked for; of each the groups of most documents first, then by key. Numbers have six digits.

    Raises:
        DataError: a document has no row of measures.
        SettingError: `by` is neither known nor a field that any document has.
    """
    kept = kept_dataset(run)
    files = dataset_files(join(run, kept))
    check_by(run, by, files)
    numbers: dict[str, int] = {}
    spreads = [Spread(most // len(measures)) for _ in measures]
    with Progress("stats", total=len(files), unit="files") as progress:
        for number, path in enumerate(files, start=1):
            documents = _whole(path, ["id", column_of(by)])
            measured = _measured(documents["id"], join(run, MEASURES, path.removeprefix(join(run, kept, ""))), measures)
            groups = _numbered(keys_of(documents[column_of(by)], by), numbers)
            ranks = id_numbers(documents["id"].to_pylist(), path)[:, 0]
            for spread, values in zip(spreads, measured, strict=True):
                spread.add(groups, ranks, values)
            progress.set(number)
    check_found(run, by, list(numbers))
    keys = pa.array(numbers, pa.string())
    return pa.concat_tables([_table(name, spread, keys) for name, spread in zip(measures, spreads, strict=True)])


def _whole(path: str, columns: list[str]) -> pa.Table:
    batches = list(read_batches(path, columns, 8192))
    table = (
        pa.Table.from_batches(batches) if batches else pa.table({name: pa.array([], pa.string()) for name in columns})
    )
    return table.combine_chunks()


def _measured(ids: pa.ChunkedArray, path: str, measures: Sequence[str]) -> list[Numbers]:
    """The values of each measure for the documents `ids`, from the file of measures that belongs to theirs."""
    rows = _whole(path, ["id", *dict.fromkeys(measures)])
    places = pc.index_in(ids, rows["id"])
    if places.null_count:
        raise DataError(f"{path} has no measures of {ids.filter(pc.is_null(places))[0].as_py()}")
    return [rows[name].cast(pa.float64()).take(places).to_numpy() for name in measures]


def _numbered(keys: pa.Array | pa.ChunkedArray, numbers: dict[str, int]) -> Groups:
    """The number of each group; new ones get the next."""
    encoded = pc.dictionary_encode(keys)
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    of_key = [numbers.setdefault(key, len(numbers)) for key in encoded.dictionary.to_pylist()]
    found: Groups = np.array(of_key, np.int64)[encoded.indices.to_numpy()]
    return found


def _table(name: str, spread: Spread, keys: pa.Array) -> pa.Table:
    numbers, told, bounds, histograms = spread.groups()
    columns = {
        word: pa.array([float(f"{value:.6g}") for value in told[word].tolist()], pa.float64())
        for word in ("mean", *QUANTILES)
    }
    columns |= {
        "key": keys.take(pa.array(numbers)),
        "measure": pa.array([name] * len(numbers), pa.string()),
        "documents": pa.array(told["documents"]),
        "histogram": pa.array(histograms, pa.string()),
        "bounds": pa.array([" ".join(f"{bound:.6g}" for bound in bounds)] * len(numbers), pa.string()),
    }
    order = ("key", "measure", "documents", "mean", *QUANTILES, "histogram", "bounds")
    table = pa.table({word: columns[word] for word in order})
    return table.sort_by([("documents", "descending"), ("key", "ascending")])


def table_lines(table: pa.Table, by: str, name: str, top: int) -> Iterator[str]:
    """The groups of most documents, of one measure."""
    groups = table.filter(pc.equal(table["measure"], name))
    yield f"{name} of {pc.sum(groups['documents']).as_py() or 0:,} documents in {groups.num_rows:,} groups by {by}"
    yield (
        f"{by:40} {'documents':>10}"
        + "".join(f"{word:>10}" for word in ("mean", *(f"{100 * share:g}%" for share in QUANTILES.values())))
        + _between_which(groups)
    )
    for row in groups.slice(0, top).to_pylist():
        key = row["key"] if len(row["key"]) <= 40 else row["key"][:39] + "…"
        yield (
            f"{key:40} {row['documents']:>10,}"
            + "".join(f"{row[word]:>10.4g}" for word in ("mean", *QUANTILES))
            + _drawn(row["histogram"])
        )
    if groups.num_rows > top:
        yield f"({groups.num_rows - top:,} more)"


def _between_which(groups: pa.Table) -> str:
    """The head of the column of histograms: the bounds of the first bin and the last."""
    if not groups.num_rows or not any(groups["histogram"].to_pylist()):
        return ""
    bounds = groups["bounds"][0].as_py().split()
    return f"  < {bounds[0]} … ≥ {bounds[-1]}"


def _drawn(histogram: str) -> str:
    """A bar of one sign for each bin, against the fullest; a bin with any value has at least the lowest."""
    counts = [int(count) for count in histogram.split()]
    most = max(counts, default=0)
    return "  " + "".join(_HEIGHTS[math.ceil(8 * count / most)] for count in counts).rstrip() if counts else ""


def histogram_lines(sample: pa.Table, name: str) -> Iterator[str]:
    """How many of the sampled documents lie between which values: a bar of those that were kept, then of those refused."""
    values, kept = sample[name].to_numpy(), np.asarray(pc.equal(sample["decision"], "kept"))
    known = ~np.isnan(values)
    values, kept = values[known], kept[known]
    yield f"{name} of {kept.sum():,} documents that the filter kept (█) and {(~kept).sum():,} that it refused (░)"
    if not len(values):
        return
    bounds = bin_bounds(values)
    places = np.searchsorted(bounds, values, "right")
    counts = [np.bincount(places[chosen], minlength=len(bounds) + 1) for chosen in (kept, ~kept)]
    most = int(np.sum(counts, axis=0).max())
    for place, (good, bad) in enumerate(zip(*(each.tolist() for each in counts), strict=True)):
        low = f"{bounds[place - 1]:.6g}" if place else ""
        high = f"{bounds[place]:.6g}" if place < len(bounds) else ""
        if (not low or not high) and not good + bad:
            continue
        full = round(_BAR * (good + bad) / most)
        solid = round(_BAR * good / most)
        yield f"{low:>10} – {high:<10} {good + bad:>8,} {(good + bad) / len(values):>6.1%}  {'█' * solid}{'░' * (full - solid)}".rstrip()


def bin_bounds(values: Numbers) -> Numbers:
    """Round bounds from the 1 % to the 99 % quantile. They grow where these are far apart and most values near the lower."""
    low, middle, high = np.quantile(values, [0.01, 0.5, 0.99])
    if low > 0 and high > 20 * low and middle - low < (high - low) / 4:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        grown = np.array([step * 10.0**decade for decade in decades for step in _STEPS])
        first, last = np.searchsorted(grown, low, "right") - 1, np.searchsorted(grown, high)
        return grown[first : last + 1]
    if low == high:
        return np.array([low])
    decade = 10.0 ** math.floor(math.log10((high - low) / _MOST_BINS))
    width = next(step * decade for step in (1, 2, 5, 10) if (high - low) / (step * decade) <= _MOST_BINS)
    return np.arange(math.floor(low / width), math.ceil(high / width) + 1) * width
