"""One shard, crawled without a driver: what a killed attempt knew is known to the one that goes on."""

import asyncio
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from pipeline.crawl.archive import Archive
from pipeline.crawl.config import CrawlConfig
from pipeline.crawl.ledger import Found, Visit, read_events, recover_parts
from pipeline.crawl.shard import ShardCrawler
from pipeline.crawl.state import Sent, ShardState
from tests.crawl.crawling import FAST, config_for
from tests.site.server import serving
from tests.site.traps import page

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
CALM, BUSY, BROKEN, MUTE = range(4)


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    host = HOSTS.index(request.host.partition(":")[0])
    if request.path == "/robots.txt":
        return web.Response(status=429 if host == MUTE else 404, headers={"Retry-After": "700"})
    if host == BUSY and request.path == "/1":
        return web.Response(status=503, headers={"Retry-After": "900"})
    if host == BROKEN and request.path != "/":
        return web.Response(status=500)
    return page("/1", "/2", "/3", "http://127.0.0.9/", body=request.host + request.path)


def begun(config: CrawlConfig) -> ShardState:
    """A shard at the start of its first round."""
    state = ShardState(config, config.seeds)
    state.receive(Sent(Found(seed, 0, 0), "") for seed in config.seeds)
    return state


def test_replay_leads_to_the_same_state(tmp_path: Path) -> None:
    with serving(answer, HOSTS) as server:
        seeds = [*(server.url("/", host) for host in range(len(HOSTS))), server.url("/x.pdf")]
        config = config_for(server, seeds, politeness=replace(FAST, strikes=3))
        state = begun(config)
        archive = Archive(str(tmp_path), "round", "shard", config.limits, {}, num_parts=0)
        asyncio.run(ShardCrawler(state, archive).run(resumed=False))
        archive.close()
    again = begun(config)
    parts = recover_parts(str(tmp_path / "round"), "shard")
    events = [event for part in parts for event in read_events(str(tmp_path / "round"), part)]
    for event in events:
        again.replay(event)
    assert [visit.verdict for visit in events if isinstance(visit, Visit) and not visit.at] == ["extension"]
    assert list(again.refused()) == []
    waits = [
        {**row, "reason": "", "not_before": 0.0} if row["reason"] == "robots_unreachable" else row
        for row in state.rest()
    ]
    assert (
        list(again.rest()) == waits
    )  # what is held back for want of a robots.txt is held back again when its turn comes
    assert list(again.sent.drain()) == list(state.sent.drain())
    assert sorted(again.sites) == sorted(state.sites) == sorted(HOSTS)
    for domain, site in state.sites.items():
        other = again.sites[domain]
        assert len(other.queue) == len(site.queue)
        assert (other.requests, other.num_visits) == (site.requests, site.num_visits)
        assert other.pace.strikes == site.pace.strikes
    sites = [again.sites[host] for host in HOSTS]
    assert [site.pace.strikes for site in sites] == [0, 1, 3, 1]
    for host, pause in ((BUSY, 900.0), (MUTE, 700.0)):  # it asked for that, and nobody may forget it
        last = max(
            visit.at
            for visit in events
            if getattr(visit, "domain", "") == HOSTS[host] or HOSTS[host] in getattr(visit, "url", "")
        )
        assert sites[host].pace.next_allowed >= last + pause - 1.0
