"""Arrow and CSV files: the pages of their rows, found again by number, and what is wrong in them."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.engine import Engine
from jobs.ingest import ingest_run
from pipeline.errors import InputError
from pipeline.ingest.captures import Capture, Refusal
from pipeline.ingest.config import FieldNames, IngestConfig
from pipeline.ingest.inputs import list_inputs
from pipeline.ingest.payloads import PageFinder, read_pages
from pipeline.ingest.tabular import TableReader, found_in_table
from pipeline.manifests import dataset_files
from pipeline.records import Page
from pipeline.tables import read_rows

LIMIT = 10_000
NAMES = FieldNames()
ROWS = [
    {"url": f"https://example.org/{number}", "text": f"the text of page {number}", "score": number / 4}
    for number in range(150)
]


def write_arrow(path: Path, rows: list[dict[str, Any]], *, stream: bool, compression: str | None = None) -> None:
    table = pa.Table.from_pylist(rows)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(path), table.schema, options=options) as writer:
        for batch in table.to_batches(max_chunksize=40):
            writer.write_batch(batch)


def texts(path: Path, kind: str) -> list[str]:
    found = list(found_in_table(str(path), kind, NAMES, LIMIT))
    return [each.payload.decode() if isinstance(each, Capture) else getattr(each, "reason", "") for each in found]


@pytest.mark.parametrize("stream", [False, True], ids=["file", "stream"])
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_the_rows_of_arrow_files(tmp_path: Path, stream: bool, compression: str | None) -> None:
    path = tmp_path / "data-00000-of-00001.arrow"
    write_arrow(path, ROWS, stream=stream, compression=compression)
    assert texts(path, "arrow") == [row["text"] for row in ROWS]
    reader = TableReader(str(path), "arrow", NAMES, LIMIT)
    for number in (3, 4, 149, 0, 77):  # onwards, and back
        found = reader.at(number, 0)
        assert isinstance(found, Capture)
        assert (found.url, found.place.position) == (ROWS[number]["url"], number)
    assert reader.at(150, 0) is None
    reader.close()


def test_a_value_that_python_lacks_costs_nothing(tmp_path: Path) -> None:
    """A date of the year 50,000: seconds taken for milliseconds."""
    path = tmp_path / "a.arrow"
    dates = pa.array([1_600_000_000, 1_600_000_000_000], pa.timestamp("s"))
    table = pa.table({"text": ["one", "two"], "date": dates})
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)
    assert texts(path, "arrow") == ["one", "two"]


def test_columns_that_nobody_asked_for_and_two_of_one_name(tmp_path: Path) -> None:
    """Neither is read what holds no field of ours, nor does it cost the file. Of one name the last counts, as in JSON."""
    zones = pa.array([1, 2], pa.timestamp("us", "Mars/Olympus"))  # which nobody can tell the time of
    columns = [pa.array(["a", "b"]).dictionary_encode(), pa.array(["x", "y"]), pa.array(["one", "two"]), zones]
    table = pa.Table.from_arrays(columns, names=["other", "text", "text", "date"])
    for new in (pa.ipc.new_stream, pa.ipc.new_file):
        with new(str(tmp_path / "a.arrow"), table.schema) as writer:
            writer.write_table(table)
        assert texts(tmp_path / "a.arrow", "arrow") == ["one", "two"]


@pytest.mark.parametrize(("table", "expected"), [(pa.table({"other": [1, 2]}), ["malformed"] * 2), (pa.table({}), [])])
def test_tables_without_a_column_of_ours(tmp_path: Path, table: pa.Table, expected: list[str]) -> None:
    for new in (pa.ipc.new_stream, pa.ipc.new_file):
        with new(str(tmp_path / "a.arrow"), table.schema) as writer:
            writer.write_table(table)
        assert texts(tmp_path / "a.arrow", "arrow") == expected


def test_streams_one_behind_the_other(tmp_path: Path) -> None:
    for name, part in (("a", ROWS[:90]), ("b", ROWS[90:])):
        write_arrow(tmp_path / name, part, stream=True)
    path = tmp_path / "both.arrow"
    path.write_bytes((tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes())
    assert texts(path, "arrow") == [row["text"] for row in ROWS]
    path.write_bytes((tmp_path / "a").read_bytes() + b"no stream")
    assert texts(path, "arrow") == [*(row["text"] for row in ROWS[:90]), "unreadable_file"]


def test_files_of_another_kind_say_what_to_do(tmp_path: Path) -> None:
    write_arrow(tmp_path / "a", ROWS, stream=True)
    (tmp_path / "a.arrow.gz").write_bytes(gzip.compress((tmp_path / "a").read_bytes()))
    (tmp_path / "a.csv").write_bytes("text\none\n".encode("utf-16"))
    for name, kind, said in (("a.arrow.gz", "arrow", "unpack it"), ("a.csv", "csv", "UTF-8 is wanted")):
        (refusal,) = found_in_table(str(tmp_path / name), kind, NAMES, LIMIT)
        assert isinstance(refusal, Refusal)
        assert said in refusal.detail


def test_damaged_arrow_files_end_in_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    write_arrow(path, ROWS, stream=True)
    content = path.read_bytes()
    for cut in (0, 3, 200, len(content) // 2, len(content) - 20):
        path.write_bytes(content[:cut])
        *pages, last = list(found_in_table(str(path), "arrow", NAMES, LIMIT)) or [None]
        assert all(isinstance(page, Capture) for page in pages)
        assert last is None or isinstance(last, Capture) or last.reason == "unreadable_file"
    for place in range(0, len(content), 97):  # offsets that lead out of the file end no process
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x7F]) + content[place + 1 :])
        list(found_in_table(str(path), "arrow", NAMES, LIMIT))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("url,text\nhttp://a/,one two\nhttp://b/,three\n", ["one two", "three"]),
        ("\ufeffurl,text\r\nhttp://a/,one\r\n", ["one"]),  # as spreadsheets write it
        ('text\n"one, ""two""\n\nthree"\n', ['one, "two"\n\nthree']),  # paragraphs inside of quotation marks
        ("url;text\nhttp://a/;one, two\n", ["one, two"]),  # where the comma is the decimal sign
        ("url\ttext\nhttp://a/\tone; two\n", ["one; two"]),
        ("text,url\none,http://a/,more\ntwo\nthree,http://c/\n", ["malformed", "malformed", "three"]),
        ("text,url\n\none,http://a/\n\n", ["one"]),  # empty rows are none
        ("text,url\n ,http://a/\n", ["empty"]),
        ('text,url\n"one" two,http://a/\nthree,http://b/\n', ["malformed", "three"]),
        ('text,url\none,http://a/\n"two,http://b/\nthree,http://c/\n', ["one", "malformed"]),  # never closed
        ("title,url\nwords,http://a/\n", ["malformed"]),  # no text
        ("", []),
        ("text\n", []),
        ("text\nnul\0inside\n", ["nul\0inside"]),
        ("\n \r\ntext,url\none,http://a/\n", ["one"]),  # the row of the names is the first that has some
        ("text,url\rone,http://a/\rtwo,http://b/\r", ["unreadable_file"]),  # no line of an old Macintosh is lost in silence
        ('text,"url\none,http://a/\n', ["unreadable_file"]),  # nor what stands behind a mark that the names do not close
    ],
)  # fmt: skip
def test_the_rows_of_csv_files(tmp_path: Path, content: str, expected: list[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode())
    assert texts(path, "csv") == expected
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(content.encode()))
    assert texts(packed, "csv") == expected
    reader = TableReader(str(path), "csv", NAMES, LIMIT)
    for number, wanted in reversed(list(enumerate(expected))):
        found = reader.at(number, 0)
        if isinstance(found, Capture):
            assert found.payload.decode() == wanted
        else:
            assert wanted == (found.reason if isinstance(found, Refusal) else "unreadable_file")
    reader.close()


def test_a_quotation_mark_that_is_not_closed_holds_no_more_than_a_page(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,url\none,http://a/\n"two,http://b/\n' + "three,http://c/\n" * 90_000)
    assert texts(path, "csv") == ["one", "unreadable_file"]
    reader = TableReader(str(path), "csv", NAMES, LIMIT)
    assert reader.at(1, 0) is None
    assert isinstance(reader.at(0, 0), Capture)
    reader.close()
    path.write_text("text\n" + "x" * 10_001 + "\nshort\n")
    assert texts(path, "csv") == ["too_large", "short"]


def test_what_is_not_utf_8_and_what_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\ncaf\xe9\nfine\n")
    assert texts(path, "csv") == ["malformed", "fine"]
    packed = gzip.compress(b"text\n" + b"".join(b"page %d\n" % number for number in range(9000)))
    (tmp_path / "a.csv.gz").write_bytes(packed[: len(packed) // 2])
    found = texts(tmp_path / "a.csv.gz", "csv")
    assert found[0] == "page 0"
    assert found[-1] == "unreadable_file"
    assert "malformed" not in found
    assert found[:-1] == [f"page {number}" for number in range(len(found) - 1)], "the line that is cut off is no page"


def test_a_folder_of_tables_becomes_documents_wherever_they_are_read(tmp_path: Path) -> None:
    """As `save_to_disk` leaves it; and CSV, which beside other data is about them."""
    folder = tmp_path / "in"
    folder.mkdir()
    write_arrow(folder / "data-00000-of-00002.arrow", ROWS[:90], stream=True)
    write_arrow(folder / "data-00001-of-00002.arrow", ROWS[90:], stream=True)
    (folder / "state.json").write_text("{}")
    (folder / "sizes.csv").write_text("name,size\na,1\n")
    assert {file.kind for file in list_inputs(IngestConfig(inputs=(str(folder),))).files} == {"arrow"}
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/a.csv").write_text("text,url\nmore words,https://example.org/more\n")
    keep = FieldNames(keep=("score",))
    config = IngestConfig(inputs=(str(folder), str(tmp_path / "tables")), fields=keep)
    runs = [str(tmp_path / name) for name in ("one", "two")]
    manifests = [ingest_run(run, config, Engine(workers=workers)) for run, workers in zip(runs, (1, 2), strict=True)]
    assert manifests[0].content == manifests[1].content
    assert manifests[0].counts["kept"] == len(ROWS) + 1
    pages = [page for path in dataset_files(f"{runs[0]}/pages") for page in read_pages(path, runs[0])]
    assert all(isinstance(page, Page) for page in pages)
    assert {page.url for page in pages} == {row["url"] for row in ROWS} | {"https://example.org/more"}
    part = next(path for path in dataset_files(f"{runs[0]}/pages") if path.endswith(".parquet"))
    row = list(read_rows(part))[-1]
    finder = PageFinder(part, runs[0])
    assert isinstance(finder.page(row), Page)
    finder.close()


def test_a_format_that_is_set_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text\nwords\n")
    config = IngestConfig(inputs=(str(tmp_path / "a.txt"),), format="csv")
    assert ingest_run(str(tmp_path / "run"), config, Engine()).counts["kept"] == 1
    (tmp_path / "b.arrow").write_text("no arrow")
    with pytest.raises(InputError, match="not readable as arrow from row 0 on"):
        ingest_run(str(tmp_path / "other"), IngestConfig(inputs=(str(tmp_path / "b.arrow"),)), Engine())
