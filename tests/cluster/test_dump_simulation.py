"""The simulation of a dump against what can be worked out by hand."""

import random
from dataclasses import replace

import pytest

from benchmarks import dump_simulation
from benchmarks.dump_simulation import Cluster, Dump, Work, simulate, works

QUIET = Cluster(
    machines=4, cores=8, preemptions_an_hour=0.0, replacement_seconds=120.0, start_seconds=0.0, spread=0.0,
    straggler_share=0.0, straggler_factor=1.0,
)  # fmt: skip
WORK = Work(name="filter", shards=320, shard_seconds=60.0, kept_bytes=0, passed_bytes=0, peak_mib=0)


def test_without_faults_it_is_a_division() -> None:
    found = simulate(WORK, QUIET, random.Random(1))
    assert found.hours == pytest.approx(320 / 32 * 60 / 3600)
    assert found.paid_core_hours == pytest.approx(WORK.core_hours)
    assert (found.lost_core_hours, found.repeated_shards) == (0, 0)


def test_the_last_round_waits_for_one_shard() -> None:
    found = simulate(replace(WORK, shards=321), QUIET, random.Random(1))
    assert found.hours == pytest.approx(11 * 60 / 3600)


def test_one_straggler_stretches_the_end() -> None:
    slow = simulate(WORK, replace(QUIET, straggler_share=0.01, straggler_factor=10.0), random.Random(1))
    assert 11 * 60 / 3600 < slow.hours <= 20 * 60 / 3600


def test_lost_machines_cost_what_they_had_under_way() -> None:
    """About half a shard for each core of each machine that is lost."""
    work = replace(WORK, shards=32_000)
    found = simulate(work, replace(QUIET, preemptions_an_hour=0.5), random.Random(1))
    assert found.repeated_shards > 100
    assert found.lost_core_hours == pytest.approx(found.repeated_shards * 30 / 3600, rel=0.15)
    assert found.paid_core_hours >= work.core_hours + found.lost_core_hours


def test_a_seed_gives_the_same_numbers() -> None:
    cluster = replace(QUIET, preemptions_an_hour=0.5, spread=0.4, straggler_share=0.02, straggler_factor=4.0)
    one, same, other = (simulate(WORK, cluster, random.Random(seed)) for seed in (1, 1, 2))
    assert one == same != other


def test_costs_grow_with_the_bytes_of_pages_and_the_number_of_documents() -> None:
    units = {
        "pages": 100, "payload_bytes": 1000, "filtered": 50, "documents": 25,
        "steps": {name: {"cpu_ms": 1.0, "kept_bytes": 2.0, "passed_bytes": 4.0, "peak_mib": 1} for name in ("ingest", "filter", "dedup", "count", "pack")},
    }  # fmt: skip
    dump = Dump(files=10, pages=1000, warc_bytes=1, payload_bytes=20_000, filtered_share=0.1, document_share=0.05)
    found = {work.name: work for work in works(units, dump)}
    assert found["filter"].core_hours * 3600 == pytest.approx(2.0)  # 1,000 pages twice as large at 1 ms
    assert found["dedup"].core_hours * 3600 == pytest.approx(
        0.2
    )  # 100 documents at 2 ms: half of the measured pages passed
    assert found["count"].core_hours * 3600 == pytest.approx(0.2)  # 50 at 4 ms
    assert found["filter"].kept_bytes == pytest.approx(2.0 * 1000 * 0.1 / 0.5)
    assert found["count"].passed_bytes == pytest.approx(16.0 * 50)


def test_reads_of_an_exchange() -> None:
    """Few files are read as they are; of many, groups of 128 are merged before."""
    assert dump_simulation.exchange_reads(100, 50, 1e9) == 3 * 100 * 50
    gigabytes = 200 * 128 * 2**20  # a hundred pieces of each of two groups
    assert dump_simulation.exchange_reads(256, 5000, gigabytes) == 256 * (2 + 100) + 3 * 2 * 5000


def test_it_is_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    dump_simulation.main(["--files=200", "--pages=6e6", "--warc-tib=0.2", "--payload-tib=1", "--machines=2"])
    said = capsys.readouterr().out
    assert "core-hours a TB of compressed WARC" in said
    assert "Dataflow: " in said
