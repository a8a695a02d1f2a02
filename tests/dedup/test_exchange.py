"""Exchange files: every record reaches its destination, in order; damage is found out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.dedup import exchange
from pipeline.dedup.exchange import ExchangeWriter, gather, read_exchange, write_exchange
from pipeline.errors import DataError, InputError

DTYPE = np.dtype([("value", "<u8"), ("place", "<u4")])


def records(values: list[int]) -> np.ndarray:
    out = np.zeros(len(values), DTYPE)
    out["value"], out["place"] = values, range(len(values))
    return out


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(chunks=st.lists(st.lists(st.integers(0, 4), max_size=30), max_size=5), block_bytes=st.integers(1, 400))
def test_each_record_reaches_its_destination_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: list[list[int]], block_bytes: int
) -> None:
    monkeypatch.setattr(exchange, "_BLOCK_BYTES", block_bytes)
    path, number = str(tmp_path / "file.bin"), 0
    expected: dict[int, list[int]] = {place: [] for place in range(5)}
    with ExchangeWriter(path, DTYPE, 5) as writer:
        for chunk in chunks:
            values = list(range(number, number + len(chunk)))
            writer.add(records(values), np.array(chunk, np.int64))
            for value, place in zip(values, chunk, strict=True):
                expected[place].append(value)
            number += len(chunk)
    assert writer.num_records == number
    for place, values in expected.items():
        assert read_exchange(path, DTYPE, place)["value"].tolist() == values


def test_gather_reads_all_files_in_order(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{number}.bin") for number in range(3)]
    for number, path in enumerate(paths):
        write_exchange(path, records([number, 10 + number]), np.array([0, 1]), 2)
    assert gather(paths, DTYPE, 1)["value"].tolist() == [10, 11, 12]
    assert len(gather([], DTYPE, 0)) == 0


def test_damage_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    write_exchange(str(path), records([1, 2, 3]), np.zeros(3, np.int64), 1)
    whole = path.read_bytes()
    for content, sentence in (
        (b"", "too short"),
        (whole[:-1], "not an exchange"),
        (whole[5:], "part of it is missing"),
        (bytes([whole[0] ^ 1]) + whole[1:], "not those that were written"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=sentence):
            read_exchange(str(path), DTYPE, 0)
    path.write_bytes(whole)
    with pytest.raises(DataError, match="destination 1"):
        read_exchange(str(path), DTYPE, 1)
    with pytest.raises(DataError, match="4 bytes"):
        read_exchange(str(path), np.dtype([("x", "<u4")]), 0)
    with pytest.raises(InputError, match="no such file"):
        read_exchange(str(tmp_path / "other.bin"), DTYPE, 0)
