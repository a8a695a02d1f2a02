"""The count table: exact sums, order, pruning, merging."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.count import count_run
from jobs.engine import Engine
from jobs.merge_counts import main as merge_counts
from pipeline.count.config import CountConfig
from pipeline.count.loading import load_table, prune
from pipeline.count.table import ROWS, Group, merged_groups, pruned, read_info, summed
from pipeline.errors import DataError, InputError, SettingError
from pipeline.manifests import read_manifest
from pipeline.storage import join
from tests.count.test_jobs import TEXTS, tree, write_documents
from tokenizer.training import WordCounts

Row = tuple[bytes, int, int]
ROW = st.tuples(st.binary(min_size=1, max_size=3), st.integers(0, 2), st.integers(1, 1 << 40))


def table_of(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(ROWS.names, row, strict=True)) for row in rows], schema=ROWS)


def rows_of(table: pa.Table) -> list[Row]:
    return [(row["pretoken"], row["group"], row["count"]) for row in table.to_pylist()]


@given(st.lists(st.lists(ROW, max_size=20), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_sums_are_exact_and_sorted(parts: list[list[Row]]) -> None:
    expected: Counter[tuple[bytes, int]] = Counter()
    for rows in parts:
        for pretoken, group, count in rows:
            expected[pretoken, group] += count
    result = rows_of(summed([table_of(rows) for rows in parts], where="here"))
    assert result == [(*key, expected[key]) for key in sorted(expected)]


def test_sums_up_to_63_bits_and_not_beyond() -> None:
    half = 1 << 62
    assert rows_of(summed([table_of([(b"a", 0, half), (b"a", 0, half - 1)])], where="part-0")) == [
        (b"a", 0, (1 << 63) - 1)
    ]
    with pytest.raises(DataError, match=r"^part-0: a pre-token occurs 2\^63 times or more"):
        summed([table_of([(b"a", 0, half), (b"a", 0, half)])], where="part-0")
    assert rows_of(summed([table_of([(b"a", 0, (1 << 32) - 1)] * 3)], where="")) == [
        (b"a", 0, 3 * ((1 << 32) - 1))
    ]  # carries


def test_pruning_judges_a_pretoken_over_all_groups_and_tells_what_it_dropped() -> None:
    rows = table_of([(b"aa", 0, 1), (b"aa", 1, 1), (b"b", 0, 1), (b"ccc", 1, 9)])
    kept, mass = pruned(rows, 2)
    assert rows_of(kept) == [(b"aa", 0, 1), (b"aa", 1, 1), (b"ccc", 1, 9)]
    assert mass == {0: (1, 1)}
    assert pruned(rows, 3)[1] == {0: (2, 3), 1: (1, 2)}
    assert pruned(rows, 1) == (rows, {})
    words, dropped = prune(WordCounts.of({b"aa": 2, b"b": 1, b"ccc": 9}), 2)
    assert (words.data.tobytes(), words.counts.tolist(), dropped) == (b"aaccc", [2, 9], (1, 1))


def test_groups_add_up() -> None:
    one = Group(source="web", language="en", documents=2, text_bytes=10)
    other = Group(source="books", language="en", documents=1)
    assert merged_groups([[one], [other, one]]) == (
        other,
        Group(source="web", language="en", documents=4, text_bytes=20),
    )


def test_weights_multiply_sources(tmp_path: Path) -> None:
    write_documents(str(tmp_path), [[("web", "en", "aa bb"), ("books", "en", "aa")]])
    count_run(str(tmp_path), CountConfig(), Engine())
    counts = join(str(tmp_path), "counts")
    plain, weighted = load_table(counts), load_table(counts, weights={"books": 5, "web": 0})
    assert plain.words.counts.sum() == 3
    assert sorted(weighted.words.counts.tolist()) == [0, 5]
    with pytest.raises(DataError, match=r"source_weights names the source 'code', .*; it has 'books', 'web'"):
        load_table(counts, weights={"code": 2})
    with pytest.raises(DataError, match=r"counts 2\^63 times or more; use smaller weights"):
        load_table(counts, weights={"books": (1 << 62) * 2 - 1, "web": 1 << 62})


@pytest.mark.parametrize("partitions", [(2, 2), (3, 2)])  # the second table is spread anew in the latter case
def test_merged_tables_equal_counting_together(partitions: tuple[int, int], tmp_path: Path) -> None:
    runs = [str(tmp_path / name) for name in ("one", "two", "both", "merged")]
    for run, texts in zip(runs, (TEXTS[:2], TEXTS[2:], TEXTS), strict=False):
        write_documents(run, [texts])
    for run, number in zip(runs, (*partitions, partitions[0]), strict=False):
        count_run(run, CountConfig(partitions=number), Engine())
    merge_counts(runs[3], [join(run, "counts") for run in runs[:2]])
    together, merged = tree(join(runs[2], "counts")), tree(join(runs[3], "counts"))
    assert together.pop("manifest.json") != merged.pop("manifest.json")
    assert merged == together
    assert read_manifest(join(runs[3], "counts")).counts["read"] == len(TEXTS)


def test_tables_of_different_patterns_are_not_merged(tmp_path: Path) -> None:
    runs = [str(tmp_path / name) for name in ("one", "two")]
    for run, pattern in zip(runs, ("gpt2", "cl100k"), strict=True):
        write_documents(run, [TEXTS])
        count_run(run, CountConfig(pattern=pattern), Engine())
    with pytest.raises(InputError, match=r"count tables differ in pattern: .* has 'gpt2@1', .* has 'cl100k@1'"):
        merge_counts(str(tmp_path / "sum"), [join(run, "counts") for run in runs])
    with pytest.raises(InputError, match="at least one"):
        merge_counts(str(tmp_path / "sum"), [])


def test_the_ledger_of_bytes_closes(tmp_path: Path) -> None:
    """Every byte of text is counted, too long, or pruned."""
    write_documents(str(tmp_path), [TEXTS])
    count_run(str(tmp_path), CountConfig(max_pretoken_bytes=8, min_count=2, max_types=1000), Engine())
    table = load_table(join(str(tmp_path), "counts"))
    groups = table.info.groups
    assert sum(group.text_bytes for group in groups) == sum(len(text.encode()) for *_, text in TEXTS)
    counted = table.words.num_bytes
    assert 0 < counted == sum(group.text_bytes - group.long_bytes - group.dropped_bytes for group in groups)
    assert int(table.counts.sum()) == sum(group.pretokens - group.dropped_pretokens for group in groups)
    assert [group.words for group in groups] == [
        sum(len(text.split()) for *key, text in TEXTS if tuple(key) == group.key) for group in groups
    ]


def test_runs_of_a_full_counter_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that writes after every batch gives the same table as one that writes once."""
    monkeypatch.setattr("pipeline.count.stage._DOCUMENT_ROWS", 1)
    monkeypatch.setattr("pipeline.count.stage._MERGE_ROWS", 10)
    texts = [("s", "en", f"word{number % 700} common text {number}") for number in range(1500)]
    for name, most in (("few", 1000), ("many", 1 << 20)):
        write_documents(str(tmp_path / name), [texts])
        count_run(str(tmp_path / name), CountConfig(max_types=most), Engine())
    few, many = (tree(str(tmp_path / name / "counts")) for name in ("few", "many"))
    assert few.pop("manifest.json")
    assert many.pop("manifest.json")
    assert few == many


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pattern": "gpt9"}, "count.pattern is 'gpt9'; known are cl100k@1"),
        ({"partitions": 0}, "count.partitions is 0; allowed is 1 to 4096"),
        ({"max_types": 1}, "count.max_types is 1"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        CountConfig(**settings)  # type: ignore[arg-type]


def test_a_damaged_table_is_one_sentence(tmp_path: Path) -> None:
    write_documents(str(tmp_path), [TEXTS])
    count_run(str(tmp_path), CountConfig(partitions=1), Engine())
    part = tmp_path / "counts/part-00000.arrow"
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(DataError, match=r"part-00000.arrow is not readable as Arrow"):
        load_table(str(tmp_path / "counts"))
    (tmp_path / "counts/groups.json").write_text("{}")
    with pytest.raises(DataError, match=r"groups.json is not the description of a count table"):
        read_info(str(tmp_path / "counts/groups.json"))
