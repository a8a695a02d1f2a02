"""Whether a URL belongs to the crawl: scope around the seeds, patterns, extensions, ports."""

import re
from collections.abc import Iterable

from pipeline.crawl.config import ScopeConfig
from pipeline.crawl.guard import AddressGuard
from pipeline.urls import UrlParts, registrable_domain, url_parts

_NUM_HOSTS = 100_000


class Scope:
    """Answers with the reason why a URL is outside, or with an empty text."""

    def __init__(self, config: ScopeConfig, seeds: Iterable[str], guard: AddressGuard) -> None:
        self._config = config
        self._guard = guard
        self._places = _places(config.within, seeds)
        self._include = [re.compile(pattern) for pattern in config.include]
        self._exclude = [re.compile(pattern) for pattern in config.exclude]
        self._extensions = frozenset(name.removeprefix(".").lower() for name in config.skip_extensions)
        self._hosts: dict[str, bool] = {}  # whether they belong to a domain of the seeds, of those asked for lately

    def refuses(self, url: str, parts: UrlParts, depth: int) -> str:
        """`out_of_scope`, `excluded`, `extension`, `port` or `too_deep`; an empty text for a URL of the crawl."""
        if not self._is_within(url, parts):
            return "out_of_scope"
        if self._config.max_depth is not None and depth > self._config.max_depth:
            return "too_deep"
        if extension_of(parts.path) in self._extensions:
            return "extension"
        if self._include and not any(pattern.search(url) for pattern in self._include):
            return "excluded"
        if any(pattern.search(url) for pattern in self._exclude):
            return "excluded"
        return "" if self._guard.allows_port(parts.host, parts.port) else "port"

    def _is_within(self, url: str, parts: UrlParts) -> bool:
        within = self._config.within
        if within == "any":
            return True
        if within == "host":
            return parts.host in self._places
        if within == "domain":
            return self._is_of_domain(url, parts.host)
        place = _place(within, url, parts)
        while place not in self._places:
            shorter = place[: place.rstrip("/").rfind("/") + 1]
            if len(shorter) <= len(parts.origin):
                return False
            place = shorter
        return True

    def _is_of_domain(self, url: str, host: str) -> bool:
        known = self._hosts.get(host)
        if known is None:
            if len(self._hosts) >= _NUM_HOSTS:
                self._hosts.clear()
            known = self._hosts[host] = registrable_domain(url) in self._places
        return known


def _places(within: str, seeds: Iterable[str]) -> frozenset[str]:
    """The places of all seeds. Many share a host, and then a domain: those are looked up once."""
    parsed = ((seed, url_parts(seed)) for seed in seeds)
    if within == "domain":
        hosts = {parts.host: seed for seed, parts in parsed}
        return frozenset(registrable_domain(seed) for seed in hosts.values())
    return frozenset(_place(within, seed, parts) for seed, parts in parsed)


def _place(within: str, url: str, parts: UrlParts) -> str:
    """What a URL must share with a seed."""
    if within == "domain":
        return registrable_domain(url)
    if within == "host":
        return parts.host
    return parts.origin + parts.path[: parts.path.rfind("/") + 1]


def extension_of(path: str) -> str:
    """The extension of the last segment of a path, in lower case, without its dot."""
    name = path[path.rfind("/") + 1 :]
    stem, dot, extension = name.rpartition(".")
    return extension.lower() if dot and stem and len(extension) <= 5 else ""
