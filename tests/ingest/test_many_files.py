"""Neither very many files nor a very large document makes one process hold much."""

import pytest

from benchmarks import many_files
from benchmarks.memory import MIB

pytestmark = pytest.mark.slow


def test_what_is_held_grows_by_the_name_of_a_file_and_no_more() -> None:
    (_, few), (_, many) = list(many_files.measure([2_000, 22_000], 0))[:2]
    assert many["kept"] == 22_000
    assert many["shards"] == 6, "small files are read in groups"
    assert (many["grown"] - few["grown"]) / 20_000 < 1500, "bytes a file"
    assert many["cpu"] < 22_000 / 2_000, "fewer than 2,000 files a second"


@pytest.mark.parametrize("name", many_files.LARGE)
def test_a_document_beyond_the_limit_is_refused_without_being_held(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is read up to six times the limit, because escapes may take that much: here 120 MiB, joined once."""
    monkeypatch.setattr(many_files, "LARGE", {name: many_files.LARGE[name]})
    ((_, found),) = many_files.measure([], 256 << 20)
    assert found["rejected"] == 1
    assert found["kept"] == (0 if name.startswith("one") else 1)
    assert found["grown"] < (300 if "jsonl" in name else 80) * MIB
