"""JSON lines, Parquet rows and text files as pages."""

import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.captures import Capture, Place, Refusal
from pipeline.ingest.config import FieldNames
from pipeline.ingest.fields import found_in_fields
from pipeline.ingest.jsonl import found_in_lines
from pipeline.ingest.parquet import RowReader, found_in_rows
from pipeline.ingest.text import found_in_file, found_in_units
from pipeline.streams import ByteStream
from tests.ingest.archives import COMPRESSORS

PLACE = Place(kind="jsonl", position=0)


@pytest.mark.parametrize(
    ("record", "media_type", "payload"),
    [
        ({"text": "words"}, "text/plain", b"words"),
        ({"html": "<p>words"}, "text/html", b"<p>words"),
        ({"html": "<p>words", "text": "words"}, "text/html", b"<p>words"),
        ({"html": None, "text": "words"}, "text/plain", b"words"),
        ({"html": " ", "text": "words"}, "text/plain", b"words"),
        ({"html": b"\xff<p>"}, "text/html", b"\xff<p>"),  # Parquet may hold the bytes of a page
        ({"text": "lone \ud800"}, "text/plain", b"lone ?"),
    ],
)
def test_html_wins_over_text(record: dict[str, Any], media_type: str, payload: bytes) -> None:
    capture = found_in_fields(record, FieldNames(), PLACE, 1000)
    assert isinstance(capture, Capture)
    assert (capture.media_type, capture.payload) == (media_type, payload)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({}, "malformed"),
        ({"text": None}, "malformed"),
        ({"text": 5}, "malformed"),
        ({"text": ["words"]}, "malformed"),
        ({"text": " \n"}, "empty"),
        ({"text": "", "html": ""}, "empty"),
        ({"text": "x" * 1001}, "too_large"),
    ],
)
def test_records_without_usable_text_are_refused(record: dict[str, Any], reason: str) -> None:
    refusal = found_in_fields(record, FieldNames(), PLACE, 1000)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason


def test_what_the_source_knows_is_kept() -> None:
    names = FieldNames(text="body", url="metadata.url", id="doc.id", author="authors")
    record = {
        "body": "words",
        "metadata": {"url": "http://a/"},
        "doc": {"id": 17},
        "title": "A\n title",
        "authors": ["One", "", "Two"],
        "date": date(2026, 1, 2),
        "language": float("nan"),
        "licence": True,
    }
    capture = found_in_fields(record, names, PLACE, 1000)
    assert isinstance(capture, Capture)
    assert (capture.url, capture.key) == ("http://a/", "17")
    assert capture.metadata == {"title": "A title", "author": "One, Two", "date": "2026-01-02"}


def texts(found: Any) -> list[str]:
    return [each.payload.decode() if isinstance(each, Capture) else each.reason for each in found]


@given(
    lines=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=12),
    cuts=st.lists(st.integers(0, 400), max_size=5),
    last=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_ranges_of_lines_together_hold_each_line_once(lines: list[str], cuts: list[int], last: bool) -> None:
    data = "\n".join(json.dumps({"text": line}, ensure_ascii=False) for line in lines).encode() + (
        b"\n" if last else b""
    )
    edges = sorted({0, *(cut for cut in cuts if cut < len(data))})

    def part(start: int, end: int | None) -> list[str]:
        stream = ByteStream(io.BytesIO(data), compression="", start=max(start - 1, 0))
        return texts(found_in_lines(stream, FieldNames(), 1000, start=start, end=end))

    whole = [line if line.strip() else "empty" for line in lines]
    assert part(0, None) == whole
    assert [each for start, end in zip(edges, [*edges[1:], None], strict=True) for each in part(start, end)] == whole


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_bad_lines_are_refused_where_they_are(compression: str) -> None:
    data = b'{"text":"a"}\nnot json\n\n[1]\n{"text":"b"}\n{"text":"' + b"x" * 2_000_000 + b'"}\n{"text":"c"}'
    stream = ByteStream(io.BytesIO(COMPRESSORS[compression](data)), compression=compression)
    found = list(found_in_lines(stream, FieldNames(), 1000))
    assert texts(found) == ["a", "malformed", "malformed", "b", "too_large", "c"]
    assert [each.place.position for each in found][:4] == [0, 13, 23, 27]
    assert found[4].place.length == len(b'{"text":""}\n') + 2_000_000


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'[{"text": "a"}]', "is a JSON array"),  # line by line, its last record would pass and the others not
        (b'\xef\xbb\xbf [\n {"text": "a"},\n {"text": "b"}\n]', "is a JSON array"),
        (b'{\r\n "text": "a"\r\n}\r\n', "JSON over several lines"),
        ('{"text": "a"}\n{"text": "b"}\n'.encode("utf-16"), "in UTF-16"),
    ],
)
def test_a_file_of_other_json_is_refused_as_a_whole(data: bytes, sentence: str) -> None:
    (found,) = found_in_lines(ByteStream(io.BytesIO(data), compression=""), FieldNames(), 1000)
    assert isinstance(found, Refusal)
    assert found.is_of_file
    assert sentence in found.detail


@pytest.mark.parametrize(("depth", "title"), [(1, "x"), (16, "x"), (17, ""), (900, "")])
def test_lists_in_lists_in_lists(depth: int, title: str) -> None:
    line = '{"text": "a", "title": ' + "[" * depth + '"x"' + "]" * depth + "}"
    (capture,) = found_in_lines(plain(line.encode()), FieldNames(keep=("title",)), 1000)
    assert isinstance(capture, Capture)
    assert capture.metadata.get("title", "") == title


def test_numbers_of_any_size_are_text() -> None:
    capture = found_in_fields({"text": "a", "id": 10**400, "title": float("inf")}, FieldNames(), PLACE, 1000)
    assert isinstance(capture, Capture)
    assert (capture.key, capture.metadata) == ("1" + "0" * 400, {})


def test_a_cut_file_of_lines_gives_its_whole_lines() -> None:
    data = COMPRESSORS["gzip"](b"".join(b'{"text":"line %d"}\n' % number for number in range(5000)))[:-500]
    found = list(found_in_lines(ByteStream(io.BytesIO(data), compression="gzip"), FieldNames(), 1000))
    assert texts(found[:-1]) == [f"line {number}" for number in range(len(found) - 1)]
    assert texts(found)[-1] == "truncated_file"


def parquet_of(rows: list[dict[str, Any]], group: int) -> io.BytesIO:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out, row_group_size=group)
    return io.BytesIO(out.getvalue())


def test_rows_are_found_in_ranges_and_again() -> None:
    rows = [
        {"text": f"row {number}", "meta": {"url": f"http://a/{number}"}, "unused": [1.5] * 10} for number in range(500)
    ]
    raw = parquet_of(rows, 64)
    names = FieldNames(url="meta.url")
    whole = list(found_in_rows(raw, names, 1000))
    assert texts(whole) == [row["text"] for row in rows]
    assert isinstance(whole[7], Capture)
    assert whole[7].url == "http://a/7"
    parts = [
        list(found_in_rows(parquet_of(rows, 64), names, 1000, first=first, end=end))
        for first, end in ((0, 3), (3, None))
    ]
    assert parts[0] + parts[1] == whole
    reader = RowReader(parquet_of(rows, 64), names, 1000)
    for number in (0, 1, 70, 71, 499, 3, 3, 64):  # ascending, jumping back, the same again
        assert reader.at(number, 0) == whole[number]
    assert reader.at(500, 0) is None
    assert reader.at(-1, 0) is None


def test_a_broken_parquet_file_is_one_refusal() -> None:
    for data in (b"PAR1 and nothing more", parquet_of([{"text": "a"}], 1).getvalue()[:-6]):
        (refusal,) = found_in_rows(io.BytesIO(data), FieldNames(), 1000)
        assert isinstance(refusal, Refusal)
        assert refusal.reason == "unreadable_file"
        assert RowReader(io.BytesIO(data), FieldNames(), 1000).at(0, 0) is None


def test_parquet_without_the_text_column_is_refused_row_by_row() -> None:
    assert texts(found_in_rows(parquet_of([{"body": "a"}, {"body": "b"}], 9), FieldNames(), 99)) == [
        "malformed",
        "malformed",
    ]


def odd_values(kind: pa.DataType, octets: bytes) -> pa.Array:
    """Two values of a type of fixed width, as they lie in memory."""
    return pa.Array.from_buffers(kind, 2, [None, pa.py_buffer(octets)])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        # Milliseconds where seconds are meant: a year that Python does not have.
        (pa.array([568_971_820_800, 0], pa.timestamp("s")), ["20000-01-01 00:00:00.000", "1970-01-01T00:00:00"]),
        (pa.array([10**7, 0], pa.date32()), ["29349-01-26", "1970-01-01"]),
        (odd_values(pa.timestamp("ms"), (2**62).to_bytes(8, "little") + bytes(8)), ["", "1970-01-01T00:00:00"]),
        (  # text that is not UTF-8
            pa.StringArray.from_buffers(2, pa.py_buffer(bytes((0, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0))), pa.py_buffer(b"caf\xe9x")),
            ["caf\ufffd", "x"],
        ),
    ],
)  # fmt: skip
def test_values_that_python_lacks_cost_no_file(column: pa.Array, expected: list[str]) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["one", "two"], "date": column}), out)
    names = FieldNames(keep=("date",))
    found = list(found_in_rows(out, names, 99))
    assert [each.metadata.get("date", "") for each in found if isinstance(each, Capture)] == expected
    assert [json.loads(each.kept.text).get("date", "") for each in found if isinstance(each, Capture)] == expected
    reader = RowReader(out, names, 99)
    assert [reader.at(1, 0), reader.at(0, 0)] == found[::-1]


def test_text_that_is_not_utf_8_is_read_as_a_page_is() -> None:
    column = pa.StringArray.from_buffers(1, pa.py_buffer(bytes((0, 0, 0, 0, 4, 0, 0, 0))), pa.py_buffer(b"caf\xe9"))
    out = io.BytesIO()
    pq.write_table(pa.table({"text": column}), out)
    (capture,) = found_in_rows(out, FieldNames(), 99)
    assert isinstance(capture, Capture)
    assert (capture.payload, capture.charset) == (b"caf\xe9", "")


def plain(data: bytes, start: int = 0) -> ByteStream:
    return ByteStream(io.BytesIO(data), compression="", start=start)


@pytest.mark.parametrize(
    ("data", "kind", "expected"),
    [
        (b"words", "text", ["words"]),
        (b"<p>words", "html", ["<p>words"]),
        (b" \n", "text", ["empty"]),
        (b"MZ\0\0binary", "text", ["media_type"]),
        (b"x" * 101, "text", ["too_large"]),
    ],
)
def test_a_file_is_one_page(data: bytes, kind: str, expected: list[str]) -> None:
    assert texts(found_in_file(plain(data), kind, 100)) == expected


def test_lines_and_paragraphs_are_pages() -> None:
    data = b"\n\none\ntwo\r\n \nthree\n" + b"x" * 300 + b"\n\nfour"
    lines = list(found_in_units(plain(data), "line", 100))
    assert texts(lines) == ["one", "two", "three", "too_large", "four"]
    paragraphs = list(found_in_units(plain(data), "paragraph", 100))
    assert texts(paragraphs) == ["one\ntwo", "too_large", "four"]
    for each in lines[:3]:
        assert data[each.place.position :].startswith(texts([each])[0].encode())


@pytest.mark.parametrize("unit", ["line", "paragraph"])
def test_units_of_utf_16_are_refused_as_a_whole(unit: str) -> None:
    (found,) = found_in_units(plain("one\ntwo\n".encode("utf-16")), unit, 100)
    assert isinstance(found, Refusal)
    assert found.is_of_file
    assert "in UTF-16" in found.detail


def test_ranges_of_text_lines_hold_each_line_once() -> None:
    data = b"".join(b"line %d\n" % number for number in range(50))
    for middle in range(1, len(data), 7):
        first = texts(found_in_units(plain(data), "line", 100, end=middle))
        second = texts(found_in_units(plain(data, middle - 1), "line", 100, start=middle))
        assert first + second == [f"line {number}" for number in range(50)]


def test_real_corpora_lines(shared_data: Path) -> None:
    path = shared_data / "corpora/tinyshakespeare/input.txt"
    with path.open("rb") as file:
        found = list(found_in_units(ByteStream(file, compression=""), "paragraph", 1 << 20))
    assert "\n\n".join(texts(found)).split() == path.read_text().split()
