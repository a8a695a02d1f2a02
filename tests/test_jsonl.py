"""JSON lines for the shell filters."""

import gzip
import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import jsonl
from pipeline.errors import InputError
from tests.ingest.archives import COMPRESSORS

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
records = st.lists(st.dictionaries(st.text(max_size=5), values, max_size=4), max_size=6)


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@given(rows=records)
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read(
    ending: str, rows: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = str(tmp_path_factory.mktemp("jsonl") / f"x.jsonl{ending}")
    with jsonl.writing(path) as writer:
        for row in rows:
            writer.write(row)
    assert writer.num_records == len(rows)
    assert list(jsonl.read_records(path)) == rows


def test_odd_characters_survive(tmp_path: Path) -> None:
    row = {"text": "line\u2028separator \x85 next \ud800 lone \x00 null"}
    with jsonl.writing(str(tmp_path / "x.jsonl")) as writer:
        writer.write(row)
        writer.write(row)
    assert list(jsonl.read_records(str(tmp_path / "x.jsonl"))) == [row, row]


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_every_compression_is_read(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "without-ending"
    path.write_bytes(COMPRESSORS[compression](b'\xef\xbb\xbf{"a":1}\r\n\n  \n{"a":2}'))
    assert list(jsonl.read_records(str(path))) == [{"a": 1}, {"a": 2}]


def test_nothing_appears_when_the_writer_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), jsonl.writing(str(tmp_path / "x.jsonl")) as writer:
        writer.write({"a": 1 / 0})
    assert list(tmp_path.iterdir()) == []


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        with jsonl.writing(str(tmp_path / name)) as writer:
            writer.write({"a": "ü"})
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"a":1}\n[1]\n', "the record at line 2 is not a JSON object: the line holds a list"),
        (b'{"a":1}\n{"a":\n', "the record at line 2 is not a JSON object"),
        (b"[" * 100_000 + b"\n", "line 1 is not a JSON object: the JSON is nested too deeply"),
        (gzip.compress(b'{"a":1}\n{"a":2}\n' * 50)[:-12], "is broken at byte 0"),
        (gzip.compress(b'{"a":1}\n') + b"rubbish", "is broken at byte 28, behind record 1"),
    ],
)
def test_a_broken_file_is_named_with_the_line(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.jsonl") as caught:
        list(jsonl.read_records(str(path)))
    assert sentence in str(caught.value)


def test_a_missing_file_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"no such file: /nowhere/x\.jsonl"):
        list(jsonl.read_records("/nowhere/x.jsonl"))


def test_standard_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    source = io.BytesIO(gzip.compress(b'{"a":1}\n{"a":2}\n'))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(source))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    with jsonl.writing("-") as writer:
        for row in jsonl.read_records("-"):
            writer.write(row)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [{"a": 1}, {"a": 2}]


def test_a_line_that_is_too_long_is_not_held() -> None:
    stream = jsonl.stream_of(io.BytesIO(b"short\n" + b"x" * 100_000 + b"\nlast"))
    found = list(jsonl.lines(stream, limit=10))
    assert found == [(0, b"short", 6, 1), (6, None, 100_001, 2), (100_007, b"last", 4, 3)]
