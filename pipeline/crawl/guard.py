"""Which IP addresses a crawler may connect to: public ones, and those that the settings name.

`ipaddress.is_global` alone lets translated forms of private addresses through (NAT64, 6to4, Teredo,
IPv4-compatible), so they are unwrapped first. The check is made on the address of the socket, at the
moment of each connection, whatever name or spelling led there: redirects and DNS rebinding included.
"""

import contextlib
import ipaddress
from collections.abc import Iterator, Sequence

from pipeline.errors import SettingError
from pipeline.urls import canonical_host

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")  # SIIT, RFC 2765
# Special-purpose blocks that the tables of some Python versions lack (IANA registries).
_SPECIAL: tuple[Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "fec0::/10", "100::/64", "3fff::/20", "5f00::/16"),
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)


def is_public(address: Address) -> bool:
    """Whether `address`, and every IPv4 address inside it, is a unicast address of the public internet."""
    return all(_is_plainly_public(each) for each in _forms(address))


def _is_plainly_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address.version == network.version and address in network for network in _SPECIAL)


def _forms(address: Address) -> Iterator[Address]:
    """`address`, or the IPv4 addresses that it stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    inner = [*_embedded(address)]
    yield from inner
    if address.ipv4_mapped is None and address not in _NAT64:
        yield address


def _embedded(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    low = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in (_NAT64, _COMPATIBLE, _TRANSLATED)):
        yield low
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        yield low


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= 65_535


class AddressGuard:
    """Decides about connections. `allowed` holds "host", "host:port", "address", "address:port" or "network/bits"."""

    def __init__(self, allowed: Sequence[str], ports: Sequence[int]) -> None:
        self._ports = frozenset(ports)
        self._networks: list[tuple[Network, int | None]] = []
        self._hosts: set[tuple[str, int | None]] = set()
        for entry in allowed:
            self._add(entry)

    def _add(self, entry: str) -> None:
        with contextlib.suppress(ValueError):
            self._networks.append((ipaddress.ip_network(entry.strip("[]"), strict=False), None))
            return
        host, colon, port = entry.rpartition(":")
        name, number = (host.strip("[]"), int(port)) if _is_port(port) and colon else (entry, None)
        with contextlib.suppress(ValueError):
            self._networks.append((ipaddress.ip_network(name, strict=False), number))
            return
        try:
            self._hosts.add((canonical_host(name), number))
        except ValueError:
            raise SettingError(
                f"crawl.allow_private_hosts holds {entry!r}; expected host, host:port, address, address:port or network/bits"
            ) from None

    def allows_port(self, host: str, port: int) -> bool:
        """Whether a URL of `host` may name `port`."""
        return port in self._ports or self.is_named(host, port)

    def is_named(self, host: str, port: int) -> bool:
        """Whether the settings name this host, or the address that it is, for this port."""
        if (host, None) in self._hosts or (host, port) in self._hosts:
            return True
        if not self._networks:
            return False
        try:
            return self._is_listed(ipaddress.ip_address(host), port)
        except ValueError:
            return False

    def allows(self, address: str, port: int, *, host_is_named: bool = False) -> bool:
        """Whether a socket may be connected to `address`. A host that the settings name may be anywhere."""
        parsed = ipaddress.ip_address(address.partition("%")[0])
        return host_is_named or is_public(parsed) or self._is_listed(parsed, port)

    def _is_listed(self, address: Address, port: int) -> bool:
        return any(
            address.version == network.version and address in network and number in (None, port)
            for network, number in self._networks
        )
