"""The peak memory of ingest → curate does not grow with the number of documents."""

import pytest

from benchmarks import memory

# Allocators and libraries do not come out the same to the byte; 16 times the documents are 70 MiB more.
TOLERANCE = 0.08


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_documents(capsys: pytest.CaptureFixture[str]) -> None:
    found = memory.measure()
    with capsys.disabled():
        print("\n" + memory.table(found))
    first, last = found[0], found[-1]
    assert last["documents"] == 16 * first["documents"]
    for job in ("ingest", "filter"):
        assert last[job] <= first[job] * (1 + TOLERANCE), f"{job} grew"
    # The index of deduplication: signatures, bands and ids, never texts.
    grown = (last["dedup"] - first["dedup"]) / (last["documents"] - first["documents"])
    assert grown < 8000, f"the index takes {grown:.0f} bytes a document"
