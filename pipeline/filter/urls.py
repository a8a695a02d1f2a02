"""Addresses that are refused: hosts, domains with their sub-domains, suffixes, listed URLs, words.

All comparison is on the canonical URL (`pipeline.urls`): lower-case ASCII host (IDN as punycode), no default
port, no fragment. List entries are brought to the same form, so `HTTP://WWW.Bücher.example/` in a list
or in a page means the same host.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from pipeline import storage
from pipeline.errors import InputError
from pipeline.filter.config import FilterConfig, UrlConfig
from pipeline.filter.url_lists import KINDS, lines_of
from pipeline.records import Page, Rejection
from pipeline.urls import canonical_url, url_parts

# A name and password before the host: they say nothing about it, and no canonical URL has them.
_CREDENTIALS = re.compile(r"^\s*(https?://)[^/?#\\]*@", re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an address is refused: the rule, and what it matched."""

    rule: str
    matched: str
    value: float | None = None
    threshold: float | None = None


@dataclass(kw_only=True)
class UrlRules:
    """The lists, ready to be asked. Memory is that of the lists' distinct entries."""

    domains: dict[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    exact_hosts: frozenset[str] = frozenset()
    suffixes: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    soft_words: frozenset[str] = frozenset()
    max_soft_words: int = 1
    allow: frozenset[str] = frozenset()
    # How many lines of the lists were left out, by what they are (`url_lists.KINDS`).
    left_out: Counter[str] = field(default_factory=Counter)

    def read(self, path: str, category: str, *, whole_domains: bool) -> None:
        """Takes a file of domains or of addresses under the name of a category; the first that names an entry stands."""
        target, canonical = (self.domains, _host) if whole_domains else (self.urls, _listed_url)
        for line in lines_of(_text(path), whole_domains=whole_domains):
            for entry in line.entries:
                target.setdefault(canonical(entry), category)
            if line.left_out:
                self.left_out[line.left_out] += 1

    def refuses(self, url: str) -> Refused | None:
        """Why `url` is refused, or nothing. An address that is no http(s) URL is none of these rules' concern."""
        try:
            parts = url_parts(canonical_url(_CREDENTIALS.sub(r"\1", url)))
        except ValueError:
            return None
        parents = list(_parents(parts.host))
        if any(parent in self.allow for parent in parents):
            return None
        if parts.host in self.exact_hosts:
            return Refused("host", parts.host)
        for parent in parents:
            if parent in self.domains:
                return Refused("domain", f"{parent} ({self.domains[parent]})" if self.domains[parent] else parent)
            if parent in self.suffixes:
                return Refused("suffix", parent)
        return self._by_url(parts.host, parts.path, parts.query) or self._by_word(parts.host, parts.path, parts.query)

    def _by_url(self, host: str, path: str, query: str) -> Refused | None:
        if not self.urls:
            return None
        bare = host.removeprefix("www.")
        for candidate in _prefixes(bare, path, query):
            if candidate in self.urls:
                return Refused("url", f"{candidate} ({self.urls[candidate]})")
        return None

    def _by_word(self, host: str, path: str, query: str) -> Refused | None:
        if not (self.words or self.soft_words):
            return None
        found = set(_BETWEEN_WORDS.split(f"{_readable(host)} {unquote(path)} {unquote(query)}".lower()))
        if hard := sorted(found & self.words):
            return Refused("word", ", ".join(hard))
        soft = sorted(found & self.soft_words)
        if len(soft) > self.max_soft_words:
            return Refused("soft_words", ", ".join(soft), float(len(soft)), float(self.max_soft_words))
        return None


def _readable(host: str) -> str:
    """A host in the letters that a reader sees: its punycode undone."""
    try:
        return host.encode("ascii").decode("idna") if "xn--" in host else host
    except UnicodeError:
        return host


def _parents(host: str) -> Iterator[str]:
    """The host and every domain above it, longest first."""
    labels = host.split(".")
    for start in range(len(labels)):
        yield ".".join(labels[start:])


def _prefixes(host: str, path: str, query: str) -> Iterator[str]:
    """The address without scheme, `www.` and final slash, and every whole-segment prefix of it, longest first."""
    if query:
        yield f"{host}{path}?{query}"
    whole = f"{host}{path}".rstrip("/")
    while whole:
        yield whole
        cut = whole.rfind("/")
        if cut < 0:
            return
        whole = whole[:cut]


def load_rules(config: UrlConfig) -> UrlRules:
    """The rules of `config` with all their lists read.

    Raises:
        InputError: a list is missing, or its folder has none of the wanted files.
    """
    rules = UrlRules(
        exact_hosts=frozenset(map(_host, config.exact_hosts)),
        suffixes=frozenset(_host(suffix.lstrip("*.")) for suffix in config.suffixes),
        words=frozenset(_words(config.words, config.word_files)),
        soft_words=frozenset(_words(config.soft_words, config.soft_word_files)),
        max_soft_words=config.max_soft_words,
        allow=frozenset(map(_host, config.allow)),
    )
    for domain in config.domains:
        rules.domains[_host(domain)] = ""
    for path in config.lists:
        _read_list(path, config.categories, rules)
    return rules


def _read_list(path: str, categories: tuple[str, ...], rules: UrlRules) -> None:
    """Adds a list to `rules`: a folder in UT1's layout, or a file of domains, whose category is its name."""
    for file, category, kind in _files_of_list(path, categories):
        rules.read(file, category, whole_domains=kind == "domains")


def _files_of_list(path: str, categories: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """The files of a list, each with its category and its kind, `domains` or `urls`."""
    path = path.rstrip("/")
    found = [file for file in storage.list_files(path) if file.rstrip("/") != path]
    if not found:
        return [(path, path.split("/")[-1].split(".")[0], "domains")]
    parted = [(file, *file.split("/")[-2:]) for file in found if file.endswith(("/domains", "/urls"))]
    wanted = [(file, category, kind) for file, category, kind in parted if not categories or category in categories]
    if not wanted:
        raise InputError(
            f"{path} has no CATEGORY/domains or CATEGORY/urls{' for ' + ', '.join(categories) if categories else ''}"
        )
    return wanted


def lists_sha256(config: UrlConfig) -> str:
    """What names the contents of all lists and files of words in the fingerprint of a step.

    Raises:
        InputError: one is missing, or a folder has none of the wanted files.
    """
    files = [each for path in config.lists for each in _files_of_list(path, config.categories)]
    files += [(path, "", "words") for path in (*config.word_files, *config.soft_word_files)]
    digest = hashlib.sha256()
    for path, category, kind in files:
        digest.update(f"{category} {kind} {hashlib.sha256(storage.read_bytes(path)).hexdigest()}\n".encode())
    return digest.hexdigest()


def _text(path: str) -> str:
    return storage.read_bytes(path).decode("utf-8-sig", "replace")


def _host(entry: str) -> str:
    """A listed host in canonical form; entries that are no host stay as they are and match nothing."""
    bare = entry.strip().lower().removeprefix("http://").removeprefix("https://").removeprefix("*.").strip("./")
    try:
        return url_parts(canonical_url(f"http://{bare}/")).host
    except ValueError:
        return bare


def _listed_url(entry: str) -> str:
    bare = entry.strip()
    try:
        parts = url_parts(canonical_url(bare if re.match(r"(?i)https?://", bare) else f"http://{bare}"))
    except ValueError:
        return bare
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.host.removeprefix('www.')}{parts.path}{query}".rstrip("/")


def _words(words: Iterable[str], files: Iterable[str]) -> Iterator[str]:
    for word in words:
        yield word.lower()
    for path in files:
        entries = map(str.strip, _text(path).lower().split("\n"))
        yield from (entry for entry in entries if entry and not entry.startswith("#"))


@dataclass
class FilterUrls:
    """Pages whose address no list refuses. Runs before extraction, so a refused page costs no parsing."""

    config: FilterConfig
    stage: str = "filter"
    _rules: UrlRules | None = field(init=False, default=None, repr=False)

    @property
    def measures(self) -> tuple[str, ...]:
        """None: the address is no measure."""
        return ()

    @property
    def warnings(self) -> list[str]:
        """One line about the lines of the lists that were left out, if there are any."""
        left = self._rules.left_out if self._rules else Counter()
        if not left:
            return []
        told = ", ".join(f"{kind}: {left[kind]:,}" for kind in KINDS if left[kind])
        lines = "line" if left.total() == 1 else "lines"
        return [
            f"{left.total():,} {lines} of filter.urls.lists are no rule about a whole domain and were left out ({told})"
        ]

    def setup(self) -> None:
        """Reads the lists."""
        self._rules = load_rules(self.config.urls)

    def judge(self, page: Page) -> Page | Rejection:
        """The page, or its rejection `urls.<rule>`."""
        if self._rules is None:
            self.setup()
        assert self._rules is not None
        refused = self._rules.refuses(page.url)
        if refused is None:
            return page
        return Rejection(
            id=page.id,
            url=page.url,
            stage="filter",
            reason=f"urls.{refused.rule}",
            detail=refused.matched,
            value=refused.value,
            threshold=refused.threshold,
        )
