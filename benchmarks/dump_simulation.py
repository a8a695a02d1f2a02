"""What one Common Crawl dump takes on a cluster: core-hours, hours, files, bytes and money, with stragglers and preemptions.

    python -m benchmarks.dump_simulation [--units units.json] [--machines 64] [--cores 16] [--preemptions 0.05] [--seed 1]

Unit costs come from `python -m benchmarks.scale units --json units.json` on a machine of yours, or are those that were
measured for docs/scale.md. The size of the dump, the shares that are kept, prices and the faults are options; what
is simulated is the one thing that no unit cost tells: how shards that vary, machines that are slow and machines that are taken
away stretch a job that is done in steps, each of which waits for its last shard. The same seed gives the same numbers.
"""

import argparse
import heapq
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.dedup.config import DedupConfig
from pipeline.dedup.plan import MERGED_FILES

UNITS = Path(__file__).with_name("unit_costs.json")
TIB, TB = 1 << 40, 1e12
PARTITION_RECORDS = 1e6
MERGE_BYTES = 128 << 20  # read at a time by a merge of exchange files


@dataclass(frozen=True, kw_only=True)
class Dump:
    """What goes in, and what is left of it."""

    files: int
    pages: float
    warc_bytes: float
    payload_bytes: float
    filtered_share: float
    document_share: float
    files_a_shard: int = 1
    bands: int = DedupConfig().banding.bands
    candidate_share: float = 0.3
    read_seconds: float = 0.0

    @property
    def parts(self) -> int:
        """The files of each dataset, one for each shard."""
        return math.ceil(self.files / self.files_a_shard)

    @property
    def documents_to_compare(self) -> float:
        """What the deduplication begins with."""
        return self.pages * self.filtered_share

    @property
    def range_reads(self) -> float:
        """Of the deduplication: what its exchanges read, and the shingle sets that parts fetch from each other.

        Of each file of a set a part reads the index (twice) and what lies together of the sets that it needs.
        """
        by_id = math.ceil(self.documents_to_compare / PARTITION_RECORDS)
        bands = math.ceil(self.documents_to_compare * self.bands / PARTITION_RECORDS)
        # by_id and by_text; bands; then pairs and wanted documents back to the parts
        exchanges = 2 * exchange_reads(self.parts, by_id, 48 * self.documents_to_compare)
        exchanges += exchange_reads(self.parts, bands, 24 * self.documents_to_compare * self.bands)
        exchanges += 2 * exchange_reads(bands, self.parts, 24 * self.documents_to_compare)
        candidates = self.documents_to_compare * self.candidate_share / self.parts
        neighbours = self.parts * (1 - (1 - 1 / self.parts) ** candidates)
        return float(exchanges + 3 * self.parts * neighbours)


def exchange_reads(senders: int, destinations: int, num_bytes: float) -> float:
    """Reads of one exchange: of each file its trailer, an index entry and a range; of files that are merged first, the
    index and each piece of them as well."""
    if senders <= MERGED_FILES:
        return 3.0 * senders * destinations
    merged = math.ceil(senders / MERGED_FILES)
    pieces = max(1, math.ceil(num_bytes / merged / MERGE_BYTES))
    return senders * (2.0 + pieces) + 3.0 * merged * destinations


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Equal machines, some slow now and then, some taken away."""

    machines: int
    cores: int
    preemptions_an_hour: float
    replacement_seconds: float
    start_seconds: float
    spread: float
    straggler_share: float
    straggler_factor: float


@dataclass(frozen=True, kw_only=True)
class Work:
    """One step: equal shards, and the mean seconds that one takes on one core."""

    name: str
    shards: int
    shard_seconds: float
    kept_bytes: float
    passed_bytes: float
    peak_mib: float
    reads: float = 0.0
    waiting_seconds: float = 0.0

    @property
    def core_hours(self) -> float:
        """If nothing went wrong."""
        return self.shards * self.shard_seconds / 3600


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one step went."""

    hours: float
    paid_core_hours: float
    lost_core_hours: float
    repeated_shards: int


def works(units: Mapping[str, Any], dump: Dump) -> list[Work]:
    """The steps. What reads pages costs by their bytes, what reads documents by their number."""
    larger = (dump.payload_bytes / dump.pages) / (units["payload_bytes"] / units["pages"])
    filtered, documents = dump.pages * dump.filtered_share, dump.pages * dump.document_share
    measured_filtered, measured_documents = units["filtered"] / units["pages"], units["documents"] / units["pages"]
    plan = (
        ("ingest", dump.pages, larger, 1.0),
        ("filter", dump.pages, larger, 1.0),
        ("dedup", filtered, 1.0, measured_filtered),
        ("count", documents, 1.0, measured_documents),
        ("pack", documents, 1.0, measured_documents),
    )
    found = []
    for name, records, size, share in plan:
        shards = dump.parts * (4 if name == "dedup" else 1)  # its passes over all parts
        reads = dump.range_reads if name == "dedup" else 2.0 * shards
        unit = units["steps"][name]  # of a page that went in at the very beginning
        waiting = reads * dump.read_seconds
        seconds = unit["cpu_ms"] / 1000 / share * size * records + waiting
        kept = (
            unit["kept_bytes"]
            / share
            * records
            * (dump.filtered_share / measured_filtered if name == "filter" else 1.0)
        )
        found.append(
            Work(
                name=name,
                shards=shards,
                shard_seconds=seconds / shards,
                kept_bytes=kept,
                passed_bytes=unit["passed_bytes"] / share * records,
                peak_mib=unit["peak_mib"],
                reads=reads,
                waiting_seconds=waiting,
            )
        )
    return found


def simulate(work: Work, cluster: Cluster, draw: random.Random) -> Outcome:
    """Runs one step to its last shard.

    Events are the end of a shard and the loss of a machine. A shard that was under way on a lost machine begins again
    elsewhere; whatever had its receipt stays done.
    """
    waiting = [_seconds(work, cluster, draw) for _ in range(work.shards)]
    events: list[tuple[float, int, str, int]] = []
    running: list[dict[int, tuple[float, float]]] = [{} for _ in range(cluster.machines)]
    lives = [0] * cluster.machines
    idle: list[int] = []
    ids = iter(range(1 << 62))
    now = lost = last = 0.0
    repeated = done = 0

    def join(machine: int, at: float) -> None:
        heapq.heappush(events, (at, next(ids), "joins", machine))

    def begin(machine: int) -> None:
        if not waiting:
            idle.append(machine)
            return
        shard = waiting.pop()
        seconds = shard * (cluster.straggler_factor if draw.random() < cluster.straggler_share else 1.0)
        number = next(ids)
        running[machine][number] = (now, shard)
        heapq.heappush(events, (now + seconds, number, f"ends {lives[machine]}", machine))

    for machine in range(cluster.machines):
        join(machine, cluster.start_seconds)
    while done < work.shards:
        now, number, event, machine = heapq.heappop(events)
        if event == "joins":
            if cluster.preemptions_an_hour:
                heapq.heappush(events, (now + draw.expovariate(cluster.preemptions_an_hour / 3600), next(ids), f"lost {lives[machine]}", machine))  # fmt: skip
            for _ in range(cluster.cores):
                begin(machine)
        elif event == f"ends {lives[machine]}":
            del running[machine][number]
            done, last = done + 1, now
            begin(machine)
        elif event == f"lost {lives[machine]}":
            lives[machine] += 1
            for started, shard in running[machine].values():
                lost += now - started
                repeated += 1
                waiting.append(shard)
            running[machine].clear()
            idle = [each for each in idle if each != machine]
            join(machine, now + cluster.replacement_seconds)
            while waiting and idle:
                begin(idle.pop())
    hours = last / 3600
    return Outcome(
        hours=hours,
        paid_core_hours=hours * cluster.machines * cluster.cores,
        lost_core_hours=lost / 3600,
        repeated_shards=repeated,
    )


def _seconds(work: Work, cluster: Cluster, draw: random.Random) -> float:
    """One shard on a machine that is not slow: lognormal around the mean."""
    return work.shard_seconds * math.exp(draw.gauss(-(cluster.spread**2) / 2, cluster.spread))


def report(units: Mapping[str, Any], dump: Dump, cluster: Cluster, prices: argparse.Namespace) -> None:
    """Prints every table."""
    plan, draw = works(units, dump), random.Random(prices.seed)
    print(
        f"{dump.files:,} WARC files, {dump.pages / 1e9:.2f} billion pages, {dump.warc_bytes / TIB:.0f} TiB compressed, "
        f"{dump.payload_bytes / TIB:.0f} TiB of pages; {dump.filtered_share:.0%} pass the filters, {dump.document_share:.0%} stay\n"
    )
    print(
        "| step | shards | s a shard | core-hours | kept | passed on between shards | reads of the store | peak MiB a worker |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for work in plan:
        print(
            f"| {work.name} | {work.shards:,} | {work.shard_seconds:.1f} | {work.core_hours:,.0f} | "
            f"{work.kept_bytes / TB:.2f} TB | {work.passed_bytes / TB:.2f} TB | {work.reads / 1e6:,.1f} M | {work.peak_mib:.0f} |"
        )
    total = sum(work.core_hours for work in plan)
    curate = sum(work.core_hours for work in plan if work.name in ("ingest", "filter"))
    print(
        f"\n{total:,.0f} core-hours; reading, extraction and filters: {curate / (dump.warc_bytes / TB):.0f} core-hours a TB of "
        f"compressed WARC, {curate / (dump.payload_bytes / TB):.1f} a TB of pages"
    )
    outcomes = [simulate(work, cluster, draw) for work in plan]
    print(
        f"\n{cluster.machines} machines of {cluster.cores} cores, {cluster.preemptions_an_hour:.0%} lost an hour, "
        f"{cluster.straggler_share:.0%} of the shards {cluster.straggler_factor:.0f} times slower:\n"
    )
    print("| step | hours | core-hours paid | of them at work | shards begun again | core-hours lost by that |")
    print("|---|---|---|---|---|---|")
    for work, outcome in zip(plan, outcomes, strict=True):
        print(
            f"| {work.name} | {outcome.hours:.2f} | {outcome.paid_core_hours:,.0f} | "
            f"{work.core_hours / outcome.paid_core_hours:.0%} | {outcome.repeated_shards:,} | {outcome.lost_core_hours:,.1f} |"
        )
    _money(plan, outcomes, prices)


def _money(plan: Sequence[Work], outcomes: Sequence[Outcome], prices: argparse.Namespace) -> None:
    hours, paid = sum(each.hours for each in outcomes), sum(each.paid_core_hours for each in outcomes)
    writes, reads = (
        sum(8 * work.shards for work in plan),
        sum(work.reads for work in plan),
    )  # files, receipts, signs of life
    store = (writes * prices.put_million + reads * prices.get_million) / 1e6
    flink = paid * prices.core_hour
    dataflow = paid * (prices.dataflow_core_hour + prices.gib_a_core * prices.dataflow_gib_hour)
    print(f"\n{hours:.1f} hours, {paid:,.0f} core-hours paid")
    print(
        f"Flink on machines of one's own choice: {flink:,.0f} $ at {prices.core_hour} $ a core-hour, and {store:,.0f} $ for {writes:,} writes and {reads / 1e6:,.0f} M reads"
    )
    print(
        f"Dataflow: {dataflow:,.0f} $ at {prices.dataflow_core_hour} $ a core-hour and {prices.gib_a_core} GiB a core "
        f"at {prices.dataflow_gib_hour} $ a GiB-hour, and the same for the store; its shuffle carries names of shards alone"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulates a dump."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dump_simulation", description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )  # fmt: skip
    options: Sequence[tuple[str, Any, str]] = (
        ("units", str(UNITS), "unit costs, of benchmarks.scale units --json"),
        ("files", 90_000, "WARC files of the dump"),
        ("pages", 2.75e9, "its pages"),
        ("warc-tib", 80.0, "its size, compressed"),
        ("payload-tib", 400.0, "the size of its pages"),
        ("filtered-share", 0.15, "share of the pages that pass the filters (one language)"),
        ("document-share", 0.09, "share of the pages that are left after deduplication"),
        ("files-a-shard", 6, "WARC files that one shard reads, so parts of each dataset (ingest.group_bytes)"),
        ("bands", DedupConfig().banding.bands, "bands of the deduplication"),
        ("candidate-share", 0.3, "share of the documents that are compared with documents of other parts"),
        ("read-seconds", 0.03, "that one read of the object store takes"),
        ("machines", 64, "machines"),
        ("cores", 16, "cores of each"),
        ("preemptions", 0.05, "machines lost, as a share an hour"),
        ("replacement-seconds", 180.0, "until another one is there"),
        ("start-seconds", 60.0, "until the workers of a step are up"),
        ("spread", 0.35, "how shards vary: sigma of a lognormal"),
        ("straggler-share", 0.01, "shards on a slow machine"),
        ("straggler-factor", 4.0, "how much slower"),
        ("core-hour", 0.02, "$ for a core-hour of a preemptible machine"),
        ("dataflow-core-hour", 0.056, "$ for a core-hour of Dataflow batch"),
        ("dataflow-gib-hour", 0.003557, "$ for a GiB-hour of Dataflow batch"),
        ("gib-a-core", 2.0, "memory that comes with a core"),
        ("put-million", 5.0, "$ for a million writes to the object store"),
        ("get-million", 0.4, "$ for a million reads of it"),
        ("seed", 1, "seed of the simulation"),
    )
    for name, value, text in options:
        parser.add_argument(f"--{name}", type=type(value), default=value, help=text)
    chosen = parser.parse_args(arguments)
    dump = Dump(
        files=chosen.files, pages=chosen.pages, warc_bytes=chosen.warc_tib * TIB, payload_bytes=chosen.payload_tib * TIB,
        filtered_share=chosen.filtered_share, document_share=chosen.document_share,
        files_a_shard=chosen.files_a_shard, bands=chosen.bands, candidate_share=chosen.candidate_share, read_seconds=chosen.read_seconds,
    )  # fmt: skip
    cluster = Cluster(
        machines=chosen.machines, cores=chosen.cores, preemptions_an_hour=chosen.preemptions, start_seconds=chosen.start_seconds,
        replacement_seconds=chosen.replacement_seconds, spread=chosen.spread,
        straggler_share=chosen.straggler_share, straggler_factor=chosen.straggler_factor,
    )  # fmt: skip
    report(json.loads(Path(chosen.units).read_text("utf-8")), dump, cluster, chosen)


if __name__ == "__main__":
    main()
