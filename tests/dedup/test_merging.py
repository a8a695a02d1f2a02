"""Exchange files merged into one: each destination gets the same records in the same order."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import exchange, merging
from pipeline.dedup.exchange import gather, read_exchange, write_exchange
from pipeline.dedup.merging import merge_exchanges, runs
from pipeline.errors import DataError

DTYPE = np.dtype([("value", "<u8"), ("file", "<u8")])


def written(folder: Path, files: list[list[int]], num_destinations: int) -> list[str]:
    """Exchange files whose records count up, for the destinations in `files`."""
    paths = []
    for number, destinations in enumerate(files):
        records = np.zeros(len(destinations), DTYPE)
        records["value"], records["file"] = np.arange(len(destinations)), number
        paths.append(str(folder / f"{number}.bin"))
        write_exchange(paths[-1], records, np.array(destinations, np.int64), num_destinations)
    return paths


@settings(deadline=None, max_examples=40)
@given(
    files=st.lists(st.lists(st.integers(0, 4), max_size=30), min_size=1, max_size=6),
    block_bytes=st.integers(16, 400),
    merge_bytes=st.sampled_from([1, 100, 10_000]),
)
def test_a_merged_file_reads_as_its_files_do(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[int]], block_bytes: int, merge_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("exchanges")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "_BLOCK_BYTES", block_bytes)
        patch.setattr(merging, "_MERGE_BYTES", merge_bytes)
        paths, target = written(folder, files, 5), str(folder / "merged.bin")
        assert merge_exchanges(paths, target) == sum(map(len, files))
    for destination in range(5):
        merged = read_exchange(target, DTYPE, destination)
        assert merged.tolist() == gather(paths, DTYPE, destination).tolist()


def test_runs_hold_what_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "_MERGE_BYTES", 10)
    assert list(runs(np.array([4, 4, 4, 0, 99, 1, 1]))) == [(0, 2), (2, 4), (4, 5), (5, 7)]


def test_damage_and_strangers_are_found_out(tmp_path: Path) -> None:
    paths = written(tmp_path, [[0, 1], [1, 1]], 2)
    with pytest.raises(DataError, match="holds other records than"):
        merge_exchanges([*paths, *written(tmp_path / "of three", [[2]], 3)], str(tmp_path / "merged.bin"))
    content = Path(paths[1]).read_bytes()
    Path(paths[1]).write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(DataError, match=r"1\.bin is damaged: the records for 1 are not those"):
        merge_exchanges(paths, str(tmp_path / "merged.bin"))
    assert not (tmp_path / "merged.bin").exists()
