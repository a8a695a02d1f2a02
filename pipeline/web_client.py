"""fsspec's files of the web, by a client that asks again where a fault may pass.

Servers of archives answer 503 to whoever asks too often, and now and then break off; a read of a million
parts would not come to its end otherwise. Waits reach no output.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import aiohttp
from fsspec.implementations.http import HTTPFileSystem

WAITS_SECONDS: Sequence[float] = (1, 2, 4, 8, 16, 32, 60)
"""Before each further try; two minutes in all."""
TRIES_TO_CONNECT = 3
"""Of a server that is not there at all: its name may be misspelled."""
_LONGEST_WAIT_SECONDS = 60.0
_GONE = (404, 410)
_PASSING = frozenset((408, 429, 500, 502, 503, 504))
_TIMEOUT = aiohttp.ClientTimeout(total=900, sock_connect=60, sock_read=120)  # of a request with all its tries

_log = logging.getLogger(__name__)


class PatientWeb(HTTPFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """fsspec's file system of the web whose requests are made again by `ask_again`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(get_client=_client, **options)

    async def _info(self, url: str, **options: Any) -> dict[str, Any]:
        """What is known of a file.

        Raises:
            FileNotFoundError: the server says that there is none; fsspec says it of whatever else went wrong, too.
        """
        try:
            found: dict[str, Any] = await super()._info(url, **options)
        except FileNotFoundError as error:
            if error.__cause__ is None or getattr(error.__cause__, "status", 0) in _GONE:
                raise
            raise error.__cause__ from None
        return found


async def _client(**options: Any) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(middlewares=(ask_again,), **{"timeout": _TIMEOUT, **options})


async def ask_again(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """The answer to `request`; a part of a file is read here, so that one which breaks off is asked for again.

    Raises:
        aiohttp.ClientError, OSError, TimeoutError: of the last try.
    """
    for tried, wait in enumerate(WAITS_SECONDS, 1):
        try:
            response = await _whole_part(await handler(request))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if not _may_pass(error, tried):
                raise
            fault = f"{type(error).__name__} {error}".strip()
        else:
            if response.status not in _PASSING:
                return response
            wait = max(wait, _asked_wait(response))
            fault = f"status {response.status}"
            response.release()
        _log.warning("%s: %s; asks again in %.0f s", request.url, fault, wait)
        await asyncio.sleep(wait)
    return await _whole_part(await handler(request))


async def _whole_part(response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    if response.status == 206:
        await response.read()
    return response


def _may_pass(error: Exception, tried: int) -> bool:
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.InvalidURL):
        return False
    return tried < TRIES_TO_CONNECT or not isinstance(error, aiohttp.ClientConnectorError)


def _asked_wait(response: aiohttp.ClientResponse) -> float:
    """How long the server asks to wait, within bounds; 0 where it does not say, or names a date."""
    said = response.headers.get("Retry-After", "").strip()
    return min(float(said), _LONGEST_WAIT_SECONDS) if said.isascii() and said.isdigit() else 0.0
