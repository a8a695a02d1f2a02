import asyncio
import ipaddress
import socket

import pytest

from pipeline.crawl.config import CrawlConfig, LimitsConfig
from pipeline.crawl.fetch import Fetcher, FetchError
from pipeline.crawl.guard import AddressGuard, is_public
from pipeline.errors import SettingError
from pipeline.urls import canonical_url
from tests.crawl.crawling import AGENT
from tests.site.server import serving
from tests.site.traps import TrapSite, page

PUBLIC = ["8.8.8.8", "1.1.1.1", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
NOT_PUBLIC = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.2.1",
    "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
    "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:0:7f00:1",  # mapped, compatible, translated
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1",  # NAT64
    "64:ff9b:1::808:808", "64:ff9b:1:a00:0:100:808:808",  # of local use: where it holds the address depends on the network
    "2002:7f00:1::", "2002:a00:1::1",  # 6to4
    "2001:0:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo: server or client
    "2606:4700::5efe:10.0.0.1",  # ISATAP
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


def test_what_the_settings_name_is_allowed() -> None:
    guard = AddressGuard(
        ("127.0.0.1:8080", "10.0.0.0/8", "[::1]:81", "wiki.internal", "shop.internal:8443"), ports=(80, 443)
    )
    assert guard.allows("127.0.0.1", 8080)
    assert not guard.allows("127.0.0.1", 80)
    assert guard.allows("10.9.9.9", 80)
    assert guard.allows("::1", 81)
    assert guard.is_named("wiki.internal", 80)
    assert guard.is_named("shop.internal", 8443)
    assert not guard.is_named("shop.internal", 443)
    assert guard.allows_port("example.com", 443)
    assert not guard.allows_port("example.com", 22)
    assert guard.allows_port("127.0.0.1", 8080)


def test_hosts_are_named_in_any_spelling() -> None:
    guard = AddressGuard(("Wiki.Internal", "bücher.test:8080", "127.1:99"), ports=())
    assert guard.is_named("wiki.internal", 80)
    assert guard.is_named("xn--bcher-kva.test", 8080)
    assert guard.is_named("127.0.0.1", 99)


def test_entry_without_a_number_for_its_port_is_refused() -> None:
    with pytest.raises(SettingError, match=r"allow_private_hosts.*'host:http'"):
        AddressGuard(("host:http",), ports=())


@pytest.mark.parametrize(
    "spelling",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "①②⑦.⓪.⓪.①",
        "[::ffff:127.0.0.1]",
        "localhost",
        "localhost.",
        "0",
        "name.test",
        "later.test",
    ],
)
def test_no_spelling_reaches_a_private_address(spelling: str) -> None:
    with serving(TrapSite().answer) as server:
        config = CrawlConfig(
            user_agent=AGENT,
            ports=(server.port,),
            addresses={"name.test": "127.0.0.1"},
            limits=LimitsConfig(connect_seconds=1.0),
        )
        with pytest.raises(FetchError) as caught:
            asyncio.run(fetch(config, canonical_url(f"http://{spelling}:{server.port}/")))
        assert caught.value.reason == ("dns" if spelling == "later.test" else "address_refused")
        assert not server.log


def test_rebinding_is_seen_at_connect_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that was public when it was looked up and is private when the socket is made."""
    answers = iter([[(socket.AF_INET, "93.184.216.34")], [(socket.AF_INET, "127.0.0.1")]])

    async def lookup(self: object, host: str) -> list[tuple[str, int]]:
        kind, address = next(answers)[0]
        return [(address, int(kind))]

    monkeypatch.setattr("pipeline.crawl.fetch.Names._lookup", lookup)
    with serving(TrapSite().answer) as server:
        with pytest.raises(FetchError, match="address_refused"):
            asyncio.run(fetch(CrawlConfig(user_agent=AGENT), f"http://rebinding.test:{server.port}/"))
        assert not server.log


def test_environment_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(request: object) -> object:
        return page(body="x")

    with serving(answer) as server:  # type: ignore[arg-type]
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        config = CrawlConfig(user_agent=AGENT, allow_private_hosts=(f"127.0.0.1:{server.port}",))
        assert asyncio.run(fetch(config, server.url("/"))) == 200


async def fetch(config: CrawlConfig, url: str) -> int:
    async with Fetcher(config) as fetcher:
        return (await fetcher.get(url, lambda status, kind: 1 << 20)).exchange.status
