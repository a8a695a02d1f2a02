"""Real archives with random damage: nothing ever escapes but finds, and what is found can be found again."""

import io
import random
from pathlib import Path

import pytest

from pipeline.ingest.captures import Capture, Refusal
from pipeline.ingest.config import FieldNames, PageRules
from pipeline.ingest.jsonl import found_in_lines
from pipeline.ingest.parquet import found_in_rows
from pipeline.ingest.warc import found_at, found_in_archive
from pipeline.streams import ByteStream, compression_of

RULES = PageRules(max_page_bytes=1 << 20)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """`data` with a few bytes changed, removed, doubled or cut off."""
    out = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        at, size = chance.randrange(len(out) + 1), chance.randrange(1, 200)
        match chance.randrange(5):
            case 0:
                out[at : at + size] = chance.randbytes(size)
            case 1:
                del out[at : at + size]
            case 2:
                out[at:at] = out[at : at + size]
            case 3:
                out[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                del out[max(at, 100) :]
    return bytes(out)


def small_archives(folder: Path) -> list[bytes]:
    paths = [path for path in sorted((folder / "warc").iterdir()) if {".warc", ".arc", ".wet"} & set(path.suffixes)]
    return [path.read_bytes() for path in paths if 200 < path.stat().st_size < 60_000]


@pytest.mark.parametrize("seed", range(12))
def test_damaged_archives_never_stop_the_reader(shared_data: Path, seed: int) -> None:
    chance = random.Random(seed)
    for whole in small_archives(shared_data):
        data = mutated(whole, chance)
        if not data:
            continue
        found = list(found_in_archive(io.BytesIO(data), RULES))
        assert sum(isinstance(each, Refusal) for each in found) <= len(data)
        for each in found:
            if isinstance(each, Capture):
                stream = ByteStream(io.BytesIO(data), compression=compression_of(data))
                if each.place.kind == "warc":
                    stream = ByteStream(io.BytesIO(data), compression=compression_of(data), start=each.place.position)
                else:
                    stream.skip(each.place.position)
                again = found_at(stream, RULES)
                assert isinstance(again, Capture)
                assert again.payload == each.payload


@pytest.mark.parametrize("seed", range(40))
def test_damaged_tables_and_lines_never_stop_their_readers(seed: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = random.Random(seed)
    out = io.BytesIO()
    rows = [{"text": f"row {number} " * 20, "url": f"http://a/{number}"} for number in range(200)]
    pq.write_table(pa.Table.from_pylist(rows), out, row_group_size=50)
    for _ in found_in_rows(io.BytesIO(mutated(out.getvalue(), chance)), FieldNames(), 1 << 20):
        pass
    lines = mutated(b"".join(b'{"text": "row %d"}\n' % number for number in range(500)), chance)
    for _ in found_in_lines(ByteStream(io.BytesIO(lines), compression=""), FieldNames(), 1 << 20):
        pass
