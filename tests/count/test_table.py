"""The count table: exact sums, order, pruning, merging."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.count import count_run
from jobs.engine import Engine
from jobs.merge_counts import main as merge_counts
from jobs.train_tokenizer import train_run
from pipeline.count.config import CountConfig
from pipeline.count.loading import Table, load_table, prune, read_table
from pipeline.count.table import (
    ROWS,
    Group,
    TableInfo,
    joined,
    merged_groups,
    pruned,
    read_batches,
    read_info,
    summed,
    write_info,
    write_rows,
)
from pipeline.errors import DataError, InputError, SettingError
from pipeline.manifests import read_manifest
from pipeline.places import join
from pipeline.steps import Receipt, Step, write_receipt
from tests.count.test_jobs import TEXTS, tree, write_documents
from tokenizer.alphabet import BYTE_TOKENS
from tokenizer.config import TokenizerConfig
from tokenizer.oracle import learn_slowly
from tokenizer.training import WordCounts

Row = tuple[bytes, int, int]
ROW = st.tuples(st.binary(min_size=1, max_size=3), st.integers(0, 2), st.integers(1, 1 << 40))


def table_of(rows: list[Row]) -> pa.Table:
    """The rows with counts as int64 where that holds them."""
    largest = max((count for *_, count in rows), default=0)
    kind = pa.int64() if largest < 1 << 63 else pa.decimal128(38, 0) if largest < 10**38 else pa.decimal256(76, 0)
    schema = ROWS.set(2, pa.field("count", kind))
    return pa.Table.from_pylist([dict(zip(ROWS.names, row, strict=True)) for row in rows], schema=schema)


def rows_of(table: pa.Table) -> list[Row]:
    return [(row["pretoken"], row["group"], int(row["count"])) for row in table.to_pylist()]


def write_table(run: Path, rows: list[Row], sources: Sequence[str] = ("web", "books")) -> str:
    """A count table of one partition with these rows, as a finished dataset; returns its folder."""
    step = Step(run=str(run), name="counts", outputs=("counts",))
    step.begin()
    folder = join(str(run), "counts")
    groups = tuple(Group(source=source, language="en", documents=1) for source in sorted(sources))
    info = TableInfo(pattern="o200k@1", max_pretoken_bytes=256, min_count=1, partitions=1, groups=groups)
    entries = (
        write_rows(join(folder, "part-00000.arrow"), table_of(rows)),
        write_info(join(folder, "groups.json"), info),
    )
    write_receipt(step.attempt_folder, Receipt(shard="all", files={"counts": entries}))
    step.commit(["all"])
    return folder


def words_of(table: Table) -> dict[bytes, int]:
    return dict(zip(table.words.words(), table.words.counts.tolist(), strict=True))


@given(st.lists(st.lists(ROW, max_size=20), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_sums_are_exact_and_sorted(parts: list[list[Row]]) -> None:
    expected: Counter[tuple[bytes, int]] = Counter()
    for rows in parts:
        for pretoken, group, count in rows:
            expected[pretoken, group] += count
    result = rows_of(summed([table_of(rows) for rows in parts], where="here"))
    assert result == [(*key, expected[key]) for key in sorted(expected)]


LARGE_ROW = st.tuples(
    st.binary(min_size=1, max_size=2),
    st.integers(0, 1),
    st.sampled_from([1, (1 << 32) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) + 1, 10**38 - 1, 10**38, 10**70]),
)


@given(st.lists(st.lists(LARGE_ROW, max_size=20), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_sums_of_any_size(parts: list[list[Row]]) -> None:
    """Over parts whose counts are of different types."""
    expected: Counter[tuple[bytes, int]] = Counter()
    for rows in parts:
        for pretoken, group, count in rows:
            expected[pretoken, group] += count
    result = summed([table_of(rows) for rows in parts], where="here")
    assert rows_of(result) == [(*key, expected[key]) for key in sorted(expected)]


@pytest.mark.parametrize(
    ("count", "count_type"),
    [
        ((1 << 63) - 1, "int64"),
        (1 << 63, "decimal128(38, 0)"),
        ((1 << 64) + 1, "decimal128(38, 0)"),
        (10**38 - 1, "decimal128(38, 0)"),
        (10**38, "decimal256(76, 0)"),
        (10**76 - 1, "decimal256(76, 0)"),
    ],
)
def test_a_file_has_the_narrowest_type_that_holds_its_counts(count: int, count_type: str, tmp_path: Path) -> None:
    """However wide the type was in memory; any program that reads Arrow opens it."""
    path = str(tmp_path / "part.arrow")
    rows = joined([table_of([(b"a", 0, count)]), table_of([(b"b", 0, 10**75)])]).slice(0, 1)
    write_rows(path, rows)
    with pa.ipc.open_file(path) as reader:
        assert str(reader.schema.field("count").type) == count_type
        assert int(reader.read_all()["count"][0].as_py()) == count
    assert [rows_of(joined([batch])) for batch in read_batches(path)] == [[(b"a", 0, count)]]


def test_sums_over_shards_pass_64_bits_and_carry_on() -> None:
    half = 1 << 62
    assert rows_of(summed([table_of([(b"a", 0, half), (b"a", 0, half - 1)])], where="")) == [(b"a", 0, (1 << 63) - 1)]
    shards = [table_of([(b"a", 0, half), (b"b", 0, 1)]) for _ in range(5)]
    assert rows_of(summed(shards, where="")) == [(b"a", 0, 5 * half), (b"b", 0, 5)]
    again = summed([summed(shards, where=""), table_of([(b"a", 0, 1)])], where="")
    assert rows_of(again) == [(b"a", 0, 5 * half + 1), (b"b", 0, 5)]
    with pytest.raises(DataError, match=r"^part-0: the pre-tokens count 10\^76 times or more"):
        summed([table_of([(b"a", 0, 9 * 10**75)])] * 2, where="part-0")


def test_pruning_judges_a_pretoken_over_all_groups_and_tells_what_it_dropped() -> None:
    rows = table_of([(b"aa", 0, 1), (b"aa", 1, 1), (b"b", 0, 1), (b"ccc", 1, 9)])
    kept, mass = pruned(rows, 2)
    assert rows_of(kept) == [(b"aa", 0, 1), (b"aa", 1, 1), (b"ccc", 1, 9)]
    assert mass == {0: (1, 1)}
    assert pruned(rows, 3)[1] == {0: (2, 3), 1: (1, 2)}
    assert pruned(rows, 1) == (rows, {})
    words, dropped = prune(WordCounts.of({b"aa": 2, b"b": 1, b"ccc": 9}), 2)
    assert (words.data.tobytes(), words.counts.tolist(), dropped) == (b"aaccc", [2, 9], (1, 1))


def test_pruning_counts_of_any_size() -> None:
    large = (1 << 64) + 1
    rows = table_of([(b"aa", 0, large), (b"aa", 1, 1), (b"bb", 0, 10**40), (b"c", 1, 9)])
    assert pruned(rows, 10**40)[1] == {0: (large, 2 * large), 1: (10, 11)}
    kept, mass = pruned(rows, large + 1)
    assert rows_of(kept) == [(b"aa", 0, large), (b"aa", 1, 1), (b"bb", 0, 10**40)]
    assert mass == {1: (9, 9)}
    words, dropped = prune(WordCounts.of({b"aa": large, b"b": 1, b"ccc": 9}), 9)
    assert (words.data.tobytes(), words.counts.tolist(), dropped) == (b"aaccc", [large, 9], (1, 1))


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
    large = load_table(counts, weights={"books": (1 << 63) - 1, "web": 1 << 62})
    assert words_of(large) == {b"aa": (1 << 63) - 1 + (1 << 62), b" bb": 1 << 62}


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


def test_large_counts_from_tables_to_a_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two tables → merged and pruned → weighted → merges, all as Python's integers say."""
    large = (1 << 64) + 1
    tables = [
        write_table(tmp_path / "one", [(b"abab", 0, 1 << 62), (b"abc", 0, 3), (b"abc", 1, 1 << 63), (b"z", 0, 1)]),
        write_table(tmp_path / "two", [(b"abab", 0, 1 << 62), (b"abc", 1, large), (b"bcd", 1, (1 << 63) + 7)]),
    ]
    merged = str(tmp_path / "merged")
    merge_counts(merged, tables, min_count=2)
    assert re.search(
        r"^merge-counts: 4 rows of [\d,]+ documents from 2 tables, in \d+\.\d s → .*/merged/counts$",
        capsys.readouterr().err,
        re.M,
    )
    assert rows_of(read_table(join(merged, "counts"))) == [
        (b"abab", 0, 1 << 63), (b"abc", 0, 3), (b"abc", 1, large + (1 << 63)), (b"bcd", 1, (1 << 63) + 7),
    ]  # fmt: skip
    assert [group.dropped_pretokens for group in read_info(join(merged, "counts", "groups.json")).groups] == [1, 0]
    again = str(tmp_path / "again")
    merge_counts(again, [join(merged, "counts")])
    assert tree(join(again, "counts"))["part-00000.arrow"] == tree(join(merged, "counts"))["part-00000.arrow"]

    weights = {"books": 1 << 20, "web": 3}
    expected = {
        b"abab": (1 << 63) << 20,
        b"abc": (3 << 20) + 3 * (large + (1 << 63)),
        b"bcd": 3 * ((1 << 63) + 7),
    }
    assert words_of(load_table(join(merged, "counts"), weights=weights)) == expected
    train_run(merged, TokenizerConfig(vocab_size=8 + 256 + 5, source_weights=weights))
    merges = json.loads(Path(merged, "tokenizer", "tokenizer.json").read_text())["model"]["merges"]
    first = 8 + 256
    learned = learn_slowly(expected, num_tokens=256 + 5, first_id=8)
    tokens = {8 + index: token for index, token in enumerate(BYTE_TOKENS)}
    for index, (left, right) in enumerate(learned):
        tokens[first + index] = tokens[left] + tokens[right]
    assert [tuple(merge) for merge in merges] == [
        (tokens[left].decode(), tokens[right].decode()) for left, right in learned
    ]
    fertility = json.loads(Path(merged, "tokenizer", "fertility.json").read_text())
    raw = {b"abab": 1 << 63, b"abc": 3 + large + (1 << 63), b"bcd": (1 << 63) + 7}
    assert fertility["total"]["bytes"] == sum(len(word) * count for word, count in raw.items())
    lock = json.loads(Path(merged, "tokenizer", "tokenizer.lock").read_text())
    assert lock["training"]["pretokens"] == sum(expected.values())


def test_a_source_too_large_for_64_bits_may_be_left_out(tmp_path: Path) -> None:
    table = write_table(tmp_path, [(b"ab", 0, 1 << 64), (b"ab", 1, 5)])
    loaded = load_table(table, weights={"books": 0})
    assert (words_of(loaded), loaded.words.counts.dtype, loaded.counts.dtype) == ({b"ab": 5}, "int64", object)


def test_a_table_of_before_is_the_same_file(tmp_path: Path) -> None:
    """Small tables have the columns that they always had."""
    write_documents(str(tmp_path), [TEXTS])
    count_run(str(tmp_path), CountConfig(partitions=1), Engine())
    with pa.ipc.open_file(str(tmp_path / "counts/part-00000.arrow")) as reader:
        assert reader.schema == ROWS
        assert reader.read_all()["count"].to_pylist() == load_table(str(tmp_path / "counts")).counts.tolist()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1.0]), r"is not a count table: its columns are .*count \(double\)"),
        (pa.array([Decimal("1.5")], pa.decimal128(38, 1)), r"is not a count table: .*count \(decimal128\(38, 1\)\)"),
        (pa.array([-1], pa.int64()), r"is damaged: .* its count is negative"),
        (pa.array([-(1 << 64)], pa.decimal128(38, 0)), r"is damaged: .* its count is negative"),
        (pa.array([None], pa.decimal128(38, 0)), r"is damaged: a row is without a value"),
    ],
)
def test_bad_counts_are_refused(column: pa.Array, message: str, tmp_path: Path) -> None:
    path = str(tmp_path / "part.arrow")
    table = pa.table(
        {"pretoken": pa.array([b"a"], pa.large_binary()), "group": pa.array([0], pa.int32()), "count": column}
    )
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match=message):
        list(read_batches(path))


def test_tables_of_different_patterns_are_not_merged(tmp_path: Path) -> None:
    runs = [str(tmp_path / name) for name in ("one", "two")]
    for run, pattern in zip(runs, ("gpt2", "cl100k"), strict=True):
        write_documents(run, [TEXTS])
        count_run(run, CountConfig(pattern=pattern), Engine())
    with pytest.raises(InputError, match=r"count tables differ in pattern: .* has 'gpt2@1', .* has 'cl100k@1'"):
        merge_counts(str(tmp_path / "sum"), [join(run, "counts") for run in runs])
    with pytest.raises(InputError, match="at least one"):
        merge_counts(str(tmp_path / "sum"), [])


def test_a_sum_replaces_no_table_but_an_earlier_sum(tmp_path: Path) -> None:
    run, total, other = (str(tmp_path / name) for name in ("run", "total", "other"))
    write_documents(run, [TEXTS])
    count_run(run, CountConfig(), Engine())
    table = join(run, "counts")
    merge_counts(total, [table, table])
    before = tree(str(tmp_path))
    for out, tables, said in (
        (run, [table], "counts is another dataset"),
        (run, [join(total, "counts")], "counts is another dataset"),
        (total, [join(total, "counts"), table], "would replace"),
        (f"{total}/../total", [join(total, "counts"), table], "would replace"),
    ):
        with pytest.raises(SettingError, match=said):
            merge_counts(out, tables, force=True)
        assert tree(str(tmp_path)) == before, (out, tables)
    merge_counts(total, [table])
    (tmp_path / "other" / "counts").mkdir(parents=True)
    (tmp_path / "other" / "counts" / "notes.txt").write_text("mine")
    with pytest.raises(SettingError, match="holds files of something else"):
        merge_counts(other, [table])
    assert (tmp_path / "other" / "counts" / "notes.txt").read_text() == "mine"


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
    with pytest.raises(DataError, match=r"part-00000.arrow has changed"):
        load_table(str(tmp_path / "counts"))
    (tmp_path / "counts/groups.json").write_text("{}")
    with pytest.raises(DataError, match=r"groups.json is not the description of a count table"):
        read_info(str(tmp_path / "counts/groups.json"))
