"""URLs by the WHATWG standard (ada-url), in one canonical form, with the registrable domain they belong to.

Every part of the project parses URLs here and nowhere else: two parsers that disagree about the host
of `http://example.com\\@127.0.0.1/` are how private addresses get fetched.
"""

import functools
import re
from typing import TYPE_CHECKING, NamedTuple

import ada_url

if TYPE_CHECKING:
    import tldextract

# Query parameters that name a campaign or a click and never the content. A trailing `*` matches the rest of the name.
TRACKING_PARAMETERS = (
    "utm_*",
    "gclid",
    "gclsrc",
    "dclid",
    "gbraid",
    "wbraid",
    "fbclid",
    "fb_action_ids",
    "fb_action_types",
    "msclkid",
    "yclid",
    "ymclid",
    "twclid",
    "ttclid",
    "li_fat_id",
    "igshid",
    "igsh",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "_ga",
    "_gl",
    "_hsenc",
    "_hsmi",
    "__hssc",
    "__hstc",
    "__hsfp",
    "hsctatracking",
    "oly_anon_id",
    "oly_enc_id",
    "vero_id",
    "wickedid",
    "srsltid",
    "s_cid",
    "pk_campaign",
    "pk_kwd",
    "piwik_campaign",
    "piwik_kwd",
    "mtm_*",
    "matomo_*",
)

_TRACKING_NAMES = frozenset(name for name in TRACKING_PARAMETERS if not name.endswith("*"))
_TRACKING_PREFIXES = tuple(name[:-1] for name in TRACKING_PARAMETERS if name.endswith("*"))
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NOT_IN_HOSTS = re.compile(r"[\s/\\:@?#]")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# References that the parser leaves as they are, which are most: plain characters, no escapes in the path, no dots at the
# start of a segment, no host that could be a number or punycode. One that is a site alone gets its slash.
_PLAIN = re.compile(
    r"(?:(?P<scheme>https?:)?(?P<host>//(?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*)(?=[/?#]|\Z))?"
    r"(?P<path>[A-Za-z0-9._~!$&()*+,;=:@/-]*)(?P<query>\?[A-Za-z0-9._~!$&()*+,;=:@/?%-]*)?(?:#.*)?",
    re.DOTALL,
)
_DOTS_AND_SLASHES = frozenset({".", "..", "./", "//"})
# Those of them that are canonical as they stand: a site and a path, no more. They are the most frequent by far.
_CANONICAL = re.compile(r"https?://(?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*/(?!/)[A-Za-z0-9._~!$&()*+,;=:@/-]*")


class UrlParts(NamedTuple):
    """The parts of a canonical URL that decisions look at. `host` is ASCII, an IPv6 address has no brackets."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def origin(self) -> str:
        """Scheme, host and port as text: what a robots.txt governs."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def target(self) -> str:
        """Path and query: what a robots rule is matched against."""
        return f"{self.path}?{self.query}" if self.query else self.path


def canonical_url(url: str, base: str | None = None) -> str:
    """The canonical form of an http(s) URL, resolved against `base` if given; applying it twice changes nothing.

    WHATWG parsing and serialisation, then: no fragment, no empty query, no root dot at the end of the host,
    escapes of unreserved characters decoded and the others in upper case (RFC 3986, 6.2.2), parameters of
    `TRACKING_PARAMETERS` removed. The order of parameters, the case of paths and trailing slashes stay.

    Raises:
        ValueError: `url` is no URL, is not http or https, has no host, or carries credentials.
    """
    try:
        href = ada_url.join_url(base, url) if base is not None else ada_url.URL(url).href
    except (ValueError, UnicodeError):
        raise ValueError(f"not a URL: {url[:200]!r}") from None
    if not href.startswith(("http://", "https://")):
        raise ValueError(f"not an http or https URL: {url[:200]!r}")
    start = href.index("/") + 2
    end = href.index("/", start)  # serialised, the authority of an http URL always ends at a slash
    if "@" in href[start:end]:
        raise ValueError(f"the URL carries credentials: {url[:200]!r}")
    host, colon, port = href[start:end].partition(":")
    if host.endswith(".") and not host.endswith("..") and host != ".":
        return canonical_url(f"{href[:start]}{host[:-1]}{colon}{port}{href[end:]}")
    rest = href[end:].partition("#")[0]
    if "%" not in rest and "?" not in rest:
        return href[:end] + rest
    path, _, query = rest.partition("?")
    query = _without_tracking(_plain_escapes(query))
    return f"{href[:end]}{_plain_escapes(path)}{'?' if query else ''}{query}"


class Resolver:
    """Resolves the references of one page to canonical URLs; as `canonical_url`, faster."""

    def __init__(self, base: str) -> None:
        """`base` is canonical."""
        path = base.partition("?")[0]
        self._base = base
        self._folder = path[: path.rindex("/") + 1]
        self._scheme = path[: path.index(":") + 1]
        self._origin = path[: path.index("/", path.index("//") + 2)]

    def resolve(self, reference: str) -> str:
        """The canonical URL that `reference` leads to.

        Raises:
            ValueError: as `canonical_url`.
        """
        if _CANONICAL.fullmatch(reference) and "/." not in reference and "xn--" not in reference:
            return reference
        return self._plain(reference) or canonical_url(reference, self._base)

    def _plain(self, reference: str) -> str:
        """The URL, if nothing in the reference needs the parser; else an empty text."""
        plain = _PLAIN.fullmatch(reference)
        if plain is None:
            return ""
        scheme, host, path, query = plain.groups()
        if "/." in path or path[:2] in _DOTS_AND_SLASHES or (host and "xn--" in host):
            return ""
        if host:
            site, path = (scheme or self._scheme) + host, path or "/"
        elif not path or (path[0] != "/" and ":" in path):
            return ""
        else:
            site = self._origin if path[0] == "/" else self._folder
        query = _without_tracking(_plain_escapes(query[1:])) if query else ""
        return f"{site}{path}?{query}" if query else f"{site}{path}"


def url_parts(canonical: str) -> UrlParts:
    """The parts of a URL that `canonical_url` gave."""
    scheme, _, rest = canonical.partition("://")
    authority, _, rest = rest.partition("/")
    path, _, query = rest.partition("?")
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, ""
    return UrlParts(scheme, host.strip("[]"), int(port) if port else _DEFAULT_PORTS[scheme], "/" + path, query)


def canonical_host(name: str) -> str:
    """The name of a host as `url_parts` gives it: in lower case and ASCII.

    Raises:
        ValueError: it is no name of a host.
    """
    if not name or _NOT_IN_HOSTS.search(name):
        raise ValueError(f"not a host: {name[:200]!r}")
    return url_parts(canonical_url(f"http://{name}/")).host


def registrable_domain(url: str) -> str:
    """The domain that somebody registered (`bbc.co.uk`, `name.github.io`), by the public suffix list.

    Hosts that have none stand for themselves: IP addresses, single labels, public suffixes.

    Raises:
        ValueError: as `canonical_url`.
    """
    try:
        parsed = ada_url.URL(url)
    except (ValueError, UnicodeError):
        raise ValueError(f"not a URL: {url[:200]!r}") from None
    host = parsed.hostname.removesuffix(".") or parsed.hostname
    if not host:
        raise ValueError(f"the URL has no host: {url[:200]!r}")
    if parsed.host_type != ada_url.HostType.DEFAULT:
        return host.strip("[]")
    return domain_of_host(host)


def domain_of_host(host: str) -> str:
    """As `registrable_domain`, of an ASCII host name that is no IP address."""
    found = _suffixes().extract_str(host)
    if not found.suffix:  # the list's rule for suffixes that it does not know: the last label is one
        return ".".join(host.split(".")[-2:])
    return f"{found.domain}.{found.suffix}" if found.domain else host


@functools.cache
def _suffixes() -> "tldextract.TLDExtract":
    """The public suffix list that `tldextract` ships: no download, no cache on disk."""
    import tldextract  # here: it imports requests, and reading settings needs neither

    return tldextract.TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True)


def _plain_escapes(text: str) -> str:
    """`text` with unreserved characters unescaped and hex digits in upper case.

    Text with a percent sign that starts no escape stays as it is: what it means is up to the server.
    """
    if "%" not in text or _STRAY_PERCENT.search(text):
        return text
    return _ESCAPE.sub(_plain_escape, text)


def _plain_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _without_tracking(query: str) -> str:
    """`query` without the parameters that only track; the others keep their bytes and their order."""
    return "&".join(part for part in query.split("&") if not _tracks(part.partition("=")[0].lower()))


def _tracks(name: str) -> bool:
    return name in _TRACKING_NAMES or name.startswith(_TRACKING_PREFIXES)
