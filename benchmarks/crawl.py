"""The crawler and Scrapy on the same 64 hosts of real pages, and the memory that a million queued URLs take.

    python -m benchmarks.crawl DATA [--pages 40] [--repeat 1] [--only step,job,scrapy,queue,links,sites]
    python -m benchmarks.crawl --only queue,links

DATA is the folder with `article_extraction.jsonl.zst` (real pages, about 30 KB compressed). A server in a process of its own
answers on 127.0.1.1 to 127.0.1.64 with as many pages each as `--pages` says; each competitor crawls all of them in a process of
its own, with robots.txt, link extraction and WARC output, without a delay. What counts is CPU seconds of that process: a
figure per core that the server and other work on the machine hardly disturb.

`step`: one round of one shard, as a worker does it. `job`: the whole command with Beam, rounds, index and manifests. `scrapy`:
its broad-crawl settings, and a WARC written by our own writer, which is kinder than the usual plugins. `queue`: a shard finds so many URLs
of 200 sites, writes them as the queue of the next round, and takes that over. `links`: a shard finds so many links to other sites, and takes
up as many from others. `sites`: the same, each link to a site of its own.
"""

import argparse
import asyncio
import gzip
import json
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zstandard

ADDRESSES = tuple(f"127.0.1.{number}" for number in range(1, 65))
AGENT = "benchbot/1.0 (+https://example.org/bot; bot@example.org)"
_PER_HOST = 40


def read_pages(folder: Path) -> list[bytes]:
    """Real pages, compressed as a web server would."""
    packed = (folder / "article_extraction.jsonl.zst").read_bytes()
    lines = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(packed).read().decode().split("\n")
    return [gzip.compress(json.loads(line)["html"].encode(), 6) for line in lines if line]


# --- the server -----------------------------------------------------------------------------------------


class _Http(asyncio.Protocol):
    """As little of HTTP as a crawler needs. Page N links to 2N and 2N+1; its head makes each page another one."""

    def __init__(self, pages: list[bytes], num_pages: int) -> None:
        self._pages = pages
        self._num_pages = num_pages
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            request, self._received = self._received[:end], self._received[end + 4 :]
            self._transport.write(self._answer(request.split(b" ", 2)[1].decode()))

    def _answer(self, path: str) -> bytes:
        name = path.removeprefix("/p/")
        if not name.isdigit() or not 1 <= int(name) <= self._num_pages:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nno"
        number = int(name)
        address, port = self._transport.get_extra_info("sockname")[:2]
        links = " ".join(
            f'<a href="http://{address}:{port}/p/{each}">on</a>'
            for each in (2 * number, 2 * number + 1)
            if each <= self._num_pages
        )
        head = gzip.compress(f"<!doctype html><p>{address} {number} {links}</p>".encode(), 1)
        body = head + self._pages[number % len(self._pages)]
        start = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        return start.encode() + body


def _serve(folder: Path, num_pages: int, ready: Any) -> None:
    async def main() -> None:
        pages, loop = read_pages(folder), asyncio.get_running_loop()
        port = 0
        for address in ADDRESSES:
            server = await loop.create_server(lambda: _Http(pages, num_pages), address, port)
            port = server.sockets[0].getsockname()[1]
        ready.put(port)
        await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def serving(folder: Path, num_pages: int) -> Iterator[int]:
    """The port of the server, until the block ends."""
    context = multiprocessing.get_context("spawn")
    ready = context.Queue()
    process = context.Process(target=_serve, args=(folder, num_pages, ready), daemon=True)
    process.start()
    try:
        yield ready.get(timeout=120)
    finally:
        process.terminate()
        process.join()


# --- competitors: each runs in a process of its own and prints one line of JSON ---------------------------


def _config(port: int, shards: int) -> Any:
    from pipeline.crawl.config import CrawlConfig, LimitsConfig, OptOutConfig, PolitenessConfig, ScopeConfig

    return CrawlConfig(
        seeds=tuple(f"http://{address}:{port}/p/1" for address in ADDRESSES),
        user_agent=AGENT,
        allow_private_hosts=("127.0.1.0/24",),
        shards=shards,
        sitemaps=False,
        ports=(port,),
        politeness=PolitenessConfig(delay_seconds=0.0, latency_factor=0.0),
        opt_out=OptOutConfig(noindex=False, nofollow=False),
        scope=ScopeConfig(within="host", include=(r"/p/\d+$",)),
        limits=LimitsConfig(pages_per_domain_and_round=100_000),
    )


def run_step(port: int, run: str) -> int:
    """One round of one shard: fetch, decode, charset, links, canonical URLs, robots.txt, frontier, WARC and ledger."""
    from pipeline import storage
    from pipeline.crawl.stage import SEEDS, CrawlShard
    from pipeline.stage import Outputs
    from pipeline.steps import Shard

    config = _config(port, 1)
    storage.write_bytes(f"{run}/{SEEDS}", "\n".join(sorted(config.seeds)).encode())
    worker = CrawlShard(run=run, attempt_folder=f"{run}/attempts/bench", config=config)
    shard = Shard(name="shard-0000", work={"number": 0, "num_shards": 1, "round": 0})
    started()
    return worker.process(shard, Outputs(run, shard.name))["verdict/page"]


def run_job(port: int, run: str) -> int:
    """The whole job."""
    from jobs.crawl import crawl
    from jobs.engine import Engine

    started()
    return crawl(run, _config(port, 2), Engine()).counts["kept"]


def run_scrapy(port: int, run: str) -> int:
    """Scrapy with robots.txt, its link extractor, and WARC output."""
    import scrapy
    from scrapy.crawler import CrawlerProcess
    from scrapy.linkextractors import LinkExtractor

    from pipeline.crawl.warc import Exchange, exchange_records

    archive = open(f"{run}/scrapy.warc.gz", "wb")  # noqa: SIM115 - closed with the process
    count = [0]

    class Spider(scrapy.Spider):  # type: ignore[misc,unused-ignore]
        name = "bench"
        links = LinkExtractor(allow=rf"^http://127\.0\.1\.\d+:{port}/p/\d+$")

        async def start(self) -> Any:
            for address in ADDRESSES:
                yield scrapy.Request(f"http://{address}:{port}/p/1")

        def parse(self, response: Any) -> Any:
            count[0] += 1
            headers = [(name.decode(), value.decode()) for name, values in response.headers.items() for value in values]
            sent = [
                (name.decode(), value.decode()) for name, values in response.request.headers.items() for value in values
            ]
            exchange = Exchange(
                url=response.url, at=time.time(), seconds=0.0, address=str(response.ip_address), request_headers=sent, status=response.status,
                reason="OK", headers=headers, body=response.body,
            )  # fmt: skip
            archive.write(exchange_records(exchange, [("hopsFromSeed", str(response.meta.get("depth", 0)))]))
            for link in self.links.extract_links(response):
                yield scrapy.Request(link.url)

    process = CrawlerProcess(
        settings={
            "USER_AGENT": AGENT, "ROBOTSTXT_OBEY": True, "CONCURRENT_REQUESTS": 64, "CONCURRENT_REQUESTS_PER_DOMAIN": 1, "DOWNLOAD_DELAY": 0,
            "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.DownloaderAwarePriorityQueue", "COOKIES_ENABLED": False, "RETRY_ENABLED": False,
            "LOG_LEVEL": "ERROR", "TELNETCONSOLE_ENABLED": False,
        }
    )  # fmt: skip
    process.crawl(Spider)
    started()
    process.start()
    archive.close()
    return count[0]


def _urls(number: int, num_sites: int = 200) -> Iterator[tuple[str, str]]:
    """So many URLs with the site of each, the same ones every time."""
    chance = random.Random(0)
    for each in range(number):
        site = f"site-{each % num_sites}.example"
        yield site, f"http://{site}/section/{chance.getrandbits(64):x}/page-{each}.html"


def run_queue(number: int, run: str) -> int:
    """Queues `number` URLs, writes what the next round starts from, and starts it."""
    from pipeline.crawl.config import CrawlConfig
    from pipeline.crawl.ledger import Found
    from pipeline.crawl.queues import write_queue
    from pipeline.crawl.sites import write_sites
    from pipeline.crawl.state import ShardState

    config, seeds = CrawlConfig(user_agent=AGENT), [f"http://site-{each}.example/" for each in range(200)]
    state = ShardState(config, seeds)
    started()
    for site, url in _urls(number):
        state.offer(site, Found(url, 2, 0), "http://via.example/")
    for each in state.sites.values():
        each.end_round()
    write_queue(f"{run}/s.queue.parquet", state.rest())
    write_sites(f"{run}/s.sites.jsonl", state.sites.values())
    state.seen.save(f"{run}/s.seen")
    again = ShardState(config, seeds)
    again.load(run, "s", time.time())
    assert sum(len(site.queue) for site in again.sites.values()) == number
    return number


def run_sites(number: int, run: str) -> int:
    """As `run_links`, each link to another site."""
    return run_links(number, run, num_sites=number)


def run_links(number: int, run: str, *, num_sites: int = 200) -> int:
    """Sends `number` links to other sites and receives as many."""
    from pipeline.crawl.config import CrawlConfig, ScopeConfig
    from pipeline.crawl.ledger import Found, Visit
    from pipeline.crawl.state import LINKS, ShardState, link_rows, read_incoming
    from pipeline.tables import TableWriter

    config = CrawlConfig(user_agent=AGENT, scope=ScopeConfig(within="any"))
    state = ShardState(config, ["http://via.example/"])
    site = state.site("via.example")
    started()
    for _, url in _urls(number, num_sites):
        _, sent = state.sort(site, [Found(url, 2, 0)], "http://via.example/")
        state.apply(site, Visit(url="http://via.example/", verdict="page", sent=sent))
    with TableWriter(f"{run}/links.parquet", LINKS) as links:
        for row in link_rows(state, 1):
            links.append(row)
    again = ShardState(config, ["http://via.example/"])
    again.receive(read_incoming(f"{run}/links.parquet", 0))
    assert sum(len(site.queue) for site in again.sites.values()) == number
    return number


_clock: list[float] = []


def started() -> None:
    """Starts the clock: what comes before is imports and set-up."""
    _clock[:] = [time.process_time(), time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]


_RUNS: dict[str, Callable[[int, str], int]] = {
    "step": run_step,
    "job": run_job,
    "scrapy": run_scrapy,
    "queue": run_queue,
    "links": run_links,
    "sites": run_sites,
}


def _child(name: str, number: int) -> None:
    run = tempfile.mkdtemp(prefix="bench-crawl-")
    try:
        num_pages = _RUNS[name](number, run)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = {
            "pages": num_pages, "cpu": time.process_time() - _clock[0], "wall": time.perf_counter() - _clock[1], "before_mib": _clock[2] / 1024,
            "peak_mib": peak / 1024,
        }  # fmt: skip
        print(json.dumps(result))
    finally:
        shutil.rmtree(run, ignore_errors=True)


def measure(name: str, number: int) -> dict[str, float]:
    """Runs one competitor in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.crawl", "--child", name, str(number)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def main() -> None:
    """Runs the competitors in turns, then the measurements of memory, and prints figures and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--pages", type=int, default=_PER_HOST, help="pages on each of the 64 hosts")
    parser.add_argument("--repeat", type=int, default=1, help="turns of each competitor; the best one counts")
    parser.add_argument("--only", default="step,job,scrapy,queue,links,sites")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(arguments.child[0], int(arguments.child[1]))
        return
    names = arguments.only.split(",")
    competitors = [name for name in ("step", "job", "scrapy") if name in names]
    if "scrapy" in competitors and not _has_scrapy():
        print("scrapy   is not installed (extra `bench`)")
        competitors.remove("scrapy")
    if competitors and arguments.data is None:
        parser.error("DATA is missing")
    if competitors:
        compete(competitors, arguments.data, arguments.pages, arguments.repeat)
    for name in [name for name in ("queue", "links", "sites") if name in names]:
        for number in (100_000,) if name == "sites" else (100_000, 1_000_000):
            one = measure(name, number)
            grown = one["peak_mib"] - one["before_mib"]
            print(
                f"{name:8} {number:,} URLs · {grown:,.0f} MiB more than before · {1e6 * one['cpu'] / number:.1f} µs a URL"
            )


def compete(names: list[str], data: Path, num_pages: int, num_turns: int) -> None:
    """Lets the competitors crawl the same pages in turns."""
    best: dict[str, dict[str, float]] = {}
    with serving(data, num_pages) as port:
        for turn in range(num_turns):
            for name in names:
                one = measure(name, port)
                print(f"{name:8} {_figures(one)} · load {os.getloadavg()[0]:.1f}", flush=True)
                if turn == 0 or one["cpu"] / one["pages"] < best[name]["cpu"] / best[name]["pages"]:
                    best[name] = one
    if num_turns > 1:
        for name, one in best.items():
            print(f"{name:8} {_figures(one)} · best of {num_turns}")
    if "scrapy" in best:
        for name in names[:-1]:
            ratio = best["scrapy"]["cpu"] / best["scrapy"]["pages"] / (best[name]["cpu"] / best[name]["pages"])
            print(f"{name} / scrapy: {ratio:.2f}")


def _figures(one: dict[str, float]) -> str:
    return (
        f"{one['pages']:,.0f} pages · {one['pages'] / one['cpu']:,.0f} pages/s per core · {1000 * one['cpu'] / one['pages']:.2f} ms CPU a page · "
        f"{one['pages'] / one['wall']:,.0f} pages/s by the clock · {one['peak_mib']:,.0f} MiB at most"
    )


def _has_scrapy() -> bool:
    try:
        import scrapy  # noqa: F401
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    main()
