"""Crawling as Beam stages: one round of a crawl, and the index of what all rounds brought.

A round takes shards of whole registrable domains; a domain is in the same shard in every round. A
shard starts from what it knew after the previous round and the links that other sites sent it, and
leaves in `pages/round-NNNN/`: archive parts with their ledgers, its queue, its sites, what it has
seen, and links to other sites. A shard that was killed goes on from its ledgers.

The index takes the ledgers of all rounds and gives `pages/part-*.parquet` (one row a page, schema
`PAGES`), `pages/ledger/*.parquet` (one row a URL, schema `LEDGER`, its last verdict) and
`rejected/pages/*.parquet` (one row for each answer that is no page). The rows of index and rejections
are bucketed by id and sorted, so they do not depend on shards, rounds or the order of arrival.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import apache_beam as beam

from pipeline import steps, storage
from pipeline.atomic import FileEntry
from pipeline.crawl import index, ledger
from pipeline.crawl.archive import Archive, warcinfo
from pipeline.crawl.config import CrawlConfig
from pipeline.crawl.frontier import shard_of
from pipeline.crawl.ledger import Found
from pipeline.crawl.previous import LEDGER_FOLDER, Earlier
from pipeline.crawl.progress import Reporter
from pipeline.crawl.queues import write_queue
from pipeline.crawl.rounds import SUMMARY, round_output
from pipeline.crawl.shard import ShardCrawler
from pipeline.crawl.sites import write_sites
from pipeline.crawl.state import LINKS, SEED_SITEMAP_DEPTH, Sent, ShardState, link_rows, read_incoming
from pipeline.manifests import hash_of
from pipeline.places import join
from pipeline.stage import Outputs, ProcessShards
from pipeline.steps import Shard, Step
from pipeline.tables import PAGES, REJECTIONS, TableWriter, read_rows

SEEDS = "pages/seeds.txt"
SEED_SITEMAPS = "pages/seed_sitemaps.txt"  # only where the settings name some
_BATCH_ROWS = 4096


class CrawlRound(beam.PTransform):  # type: ignore[misc,type-arg,unused-ignore]  # Beam is untyped here
    """Shards of domains → their receipts: one round of the crawl."""

    def __init__(self, step: Step, config: CrawlConfig) -> None:
        super().__init__()
        worker = CrawlShard(run=step.run, attempt_folder=step.attempt_folder, config=config)
        self._work = ProcessShards(step, worker)

    def expand(self, shards: Any) -> Any:
        """Crawls the shards."""
        return shards | "CrawlShards" >> self._work


class IndexPages(beam.PTransform):  # type: ignore[misc,type-arg,unused-ignore]
    """Shards of ledgers → the names of the index parts that they end up in."""

    def __init__(self, step: Step, config: CrawlConfig, num_parts: int) -> None:
        super().__init__()
        self._merge = MergeLedgers(step.run, step.attempt_folder, config, num_parts)
        self._write = WriteIndexPart(step.run, step.attempt_folder)

    def expand(self, shards: Any) -> Any:
        """Merges the ledgers of each shard, and brings the rows of each part together."""
        return (
            shards
            | "SpreadLedgers" >> beam.Reshuffle()
            | "MergeLedgers" >> beam.ParDo(self._merge)
            | "GroupByPart" >> beam.GroupByKey()
            | "WriteIndexPart" >> beam.ParDo(self._write)
        )


@dataclass(kw_only=True)
class CrawlShard:
    """The worker of a round. The work of a shard: its number, that of all, the round, its quota and level."""

    run: str
    attempt_folder: str
    config: CrawlConfig

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: Outputs) -> Mapping[str, int]:
        """Crawls one shard for one round; returns `requests`, `queued`, `ready` and a count for each verdict."""
        work = RoundWork(**shard.work)
        output = round_output(work.round)
        with closing(ShardState(self.config, chain(self._seeds(), self._sitemaps()))) as state:
            self._crawl(shard.name, work, state, outputs, output)
            return self._leave(shard.name, work, state, outputs, output)

    def _crawl(self, shard: str, work: "RoundWork", state: ShardState, outputs: Outputs, output: str) -> None:
        """Does the round, or what a killed attempt left of it."""
        folder = join(self.run, output)
        parts = self._remember(shard, work, state, folder)
        marker = join(self.attempt_folder, "begun", shard + ".json")
        resumed = storage.exists(marker)
        storage.write_json(marker, {})
        info = warcinfo(self.config.user_agent)
        archive = Archive(self.run, output, shard, self.config.limits, info, num_parts=len(parts))
        earlier = Earlier.load(self.config.previous, work.number, work.num_shards) if self.config.previous else None
        crawler = ShardCrawler(state, archive, quota=work.quota, level=work.level, earlier=earlier)
        try:
            asyncio.run(_run(crawler, resumed, Reporter(join(self.attempt_folder, "progress"), shard)))
        finally:
            archive.close()
        for part in ledger.recover_parts(folder, shard):
            _add(outputs, output, ledger.part_entries(folder, part))

    def _seeds(self) -> Iterator[str]:
        return _lines(join(self.run, SEEDS))

    def _sitemaps(self) -> Iterator[str]:
        return _lines(join(self.run, SEED_SITEMAPS)) if self.config.seed_sitemaps else iter(())

    def _remember(self, shard: str, work: "RoundWork", state: ShardState, folder: str) -> list[str]:
        """Tells `state` what the shard knows at this point of the round; returns the parts that killed attempts left."""
        if work.round == 0:

            def is_mine(seed: str) -> bool:
                return shard_of(state.domain_of(seed), work.num_shards) == work.number

            state.receive(Sent(Found(seed, 0, 0), "") for seed in filter(is_mine, self._seeds()))
            for url in filter(is_mine, self._sitemaps()):
                state.offer(state.domain_of(url), Found(url, SEED_SITEMAP_DEPTH, 0, "sitemap"), "")
        else:
            before = join(self.run, round_output(work.round - 1))
            state.load(before, shard, time.time())
            if work.reopens:
                state.readmit(self._reached(shard))
            names = [path for path in storage.list_files(before) if path.endswith(".links.parquet")]
            state.receive(sent for path in names for sent in read_incoming(path, work.number))
        parts = ledger.recover_parts(folder, shard)
        for part in parts:
            for event in ledger.read_events(folder, part):
                state.replay(event)
        state.stats["replayed"] = sum(state.stats.values())
        return parts

    def _reached(self, shard: str) -> Iterator[Sent]:
        """What a finished crawl found too deep and this one does not, in the order in which it was found."""
        for row in read_rows(join(self.run, LEDGER_FOLDER, shard + ".parquet")):
            if index.is_reached(row, self.config.scope.max_depth):
                yield Sent(Found(row["url"], row["depth"], 0), row["via"])

    def _leave(self, shard: str, work: "RoundWork", state: ShardState, outputs: Outputs, output: str) -> dict[str, int]:
        """Writes what the next round starts from."""
        for site in state.sites.values():
            site.end_round()
        waiting = Waiting()
        with TableWriter(outputs.path(output, ".links.parquet"), LINKS) as links:
            for row in link_rows(state, work.num_shards):
                links.append(row)
                waiting.send(row)
        queue, reasons = write_queue(outputs.path(output, ".queue.parquet"), waiting.watch(state))
        sites = write_sites(outputs.path(output, ".sites.jsonl"), (state.sites[name] for name in sorted(state.sites)))
        seen = state.seen.save(outputs.path(output, ".seen"))
        summary = storage.write_json(outputs.path(output, SUMMARY), waiting.summary())
        _add(outputs, output, [links.entry(), queue, sites, seen, summary])
        requests = sum(site.requests_now for site in state.sites.values())
        counts = Counter({"requests": requests, "sent": len(state.sent), "queued": sum(reasons.values())})
        counts.update({name: number for name, number in state.stats.items() if "/" in name})
        counts["visits"] = sum(site.num_visits for site in state.sites.values())
        return counts


def _lines(path: str) -> Iterator[str]:
    with storage.open_read(path) as file:
        for line in file:
            yield line.decode().strip()


@dataclass(frozen=True, kw_only=True)
class RoundWork:
    """The work of a shard in a round. One that `reopens` a finished crawl takes up what that refused for its depth."""

    number: int
    num_shards: int
    round: int
    quota: int | None = None
    level: int | None = None
    reopens: bool = False


class Waiting:
    """Sums up what waits at the end of a round, for the driver: how much, from when on, at which depth."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._earliest: float | None = None
        self._level: int | None = None
        self._sent: dict[str, int] = {}

    def send(self, row: Mapping[str, Any]) -> None:
        """Notes a link to another shard, and the least depth of those."""
        name = str(row["shard"])
        self._sent[name] = min(row["depth"], self._sent.get(name, row["depth"]))

    def watch(self, state: ShardState) -> Iterator[dict[str, Any]]:
        """The rows of the next queue, looked at in passing."""
        for row in state.rest():
            self._reasons[row["reason"]] += 1
            site = state.sites[row["domain"]]
            if row["reason"] != "crawl_delay" and site.requests < state.config.limits.pages_per_domain:
                start = max(row["not_before"], site.pace.next_allowed)
                self._earliest = start if self._earliest is None else min(start, self._earliest)
                self._level = row["depth"] if self._level is None else min(row["depth"], self._level)
            yield row

    def summary(self) -> dict[str, Any]:
        """As JSON. `earliest` and `level` are null when nothing can be fetched any more."""
        return {
            "reasons": dict(sorted(self._reasons.items())),
            "earliest": self._earliest,
            "level": self._level,
            "sent": self._sent,
        }


async def _run(crawler: ShardCrawler, resumed: bool, reporter: Reporter) -> None:
    reporting = asyncio.create_task(reporter.report(crawler))
    try:
        await crawler.run(resumed=resumed)
    except BaseExceptionGroup as group:  # of the sites that failed, the first one says why
        raise group.exceptions[0] from None
    finally:
        reporting.cancel()
        reporter.write(crawler)


def _add(outputs: Outputs, output: str, entries: Iterable[FileEntry]) -> None:
    for entry in entries:
        outputs.add(output, entry)


class MergeLedgers(beam.DoFn):  # type: ignore[misc,type-arg,unused-ignore]
    """Writes the final ledger of one shard, and gives its index rows by part, packed. Its receipt also names the files that it keeps.

    A crawl that goes on from a finished one begins with the ledger of that and writes over it. Merging again what was
    merged changes nothing, so it may be killed at any moment.
    """

    def __init__(self, run: str, attempt_folder: str, config: CrawlConfig, num_parts: int) -> None:
        self._run = run
        self._attempt_folder = attempt_folder
        self._source = config.source
        self._max_depth = config.scope.max_depth
        self._num_parts = num_parts

    def process(self, element: str) -> Iterator[tuple[int, bytes]]:
        """`element` is a shard whose work names its rounds and the files that it keeps."""
        shard = Shard(**json.loads(element))
        outputs = Outputs(self._run, shard.name)
        path = join(self._run, LEDGER_FOLDER, shard.work["shard"] + ".parquet")
        counts: Counter[str] = Counter()
        with TableWriter(path, index.LEDGER) as table:
            yield from index.packed_rows(self._noted(shard, table, counts), self._source, self._num_parts)
        outputs.add("pages", _uncounted(table.entry()))
        _add(outputs, "pages", (FileEntry(**entry) for entry in shard.work["files"]))
        steps.write_receipt(self._attempt_folder, outputs.receipt(counts))

    def _noted(self, shard: Shard, table: TableWriter, counts: Counter[str]) -> Iterator[ledger.Visit]:
        """The final visits of a shard, written to its ledger in passing."""
        first, name = shard.work["first_round"], shard.work["shard"]
        rounds = [join(self._run, round_output(number)) for number in range(first, shard.work["num_rounds"])]
        earlier = read_rows(join(self._run, LEDGER_FOLDER, name + ".parquet")) if first else ()
        events = (
            event
            for folder in rounds
            for part in ledger.recover_parts(folder, name)
            for event in ledger.read_events(folder, part)
        )
        waiting = read_rows(join(rounds[-1], name + ".queue.parquet"))
        for visits in batched(
            index.final_visits(chain(index.earlier_visits(earlier, self._max_depth), events), waiting)
        ):
            table.append_batch(index.ledger_batch(visits))
            counts["urls"] += len(visits)
            for visit in visits:
                counts[f"verdict/{visit.verdict}"] += 1
                yield visit


def batched(visits: Iterator[ledger.Visit]) -> Iterator[list[ledger.Visit]]:
    """The same, some thousands at a time."""
    while batch := list(islice(visits, _BATCH_ROWS)):
        yield batch


def _uncounted(entry: FileEntry) -> FileEntry:
    """`entry` without its records: those of a dataset of pages are its pages."""
    return FileEntry(path=entry.path, sha256=entry.sha256, num_bytes=entry.num_bytes, num_records=0)


class WriteIndexPart(beam.DoFn):  # type: ignore[misc,type-arg,unused-ignore]
    """Writes one part of the index and of the rejections, sorted by id, and its receipt."""

    def __init__(self, run: str, attempt_folder: str) -> None:
        self._run = run
        self._attempt_folder = attempt_folder

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[str]:
        """`element` is the number of a part with its packed rows."""
        name = part_name(element[0])
        kept, rejected = index.unpacked_rows(element[1])
        outputs = Outputs(self._run, name)
        for output, schema, rows in (("pages", PAGES, kept), ("rejected/pages", REJECTIONS, rejected)):
            with outputs.table(output, schema) as table:
                for row in rows:
                    table.append(row)
            outputs.add(output, table.entry(), content=hash_of(index.content_rows(rows)) if output == "pages" else "")
        counts = Counter(read=len(kept) + len(rejected), kept=len(kept), rejected=len(rejected))
        counts.update(f"rejected/{row['stage']}/{row['reason']}" for row in rejected)
        steps.write_receipt(self._attempt_folder, outputs.receipt(counts))
        yield name


def part_name(number: int) -> str:
    """The name of an index part."""
    return f"part-{number:05d}"
