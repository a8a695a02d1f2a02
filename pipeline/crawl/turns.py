"""Waiting for the turn of a site: every request of the crawler passes here."""

import asyncio
import time

from pipeline.crawl.sites import Site


class OutOfTime(Exception):
    """The site may not be asked again before the round ends."""


async def take_turn(site: Site, deadline: float) -> None:
    """Waits until the site may be asked, and marks the start of a request.

    Raises:
        OutOfTime: that is after the end of the round, or never in it.
    """
    while True:
        now = time.time()
        wait = site.pace.next_allowed - now
        if site.pace.retired or site.pace.too_slow or now + wait > deadline:
            raise OutOfTime
        if wait <= 0:
            site.pace.started(now)
            return
        await asyncio.sleep(wait)
