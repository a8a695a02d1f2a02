"""Sitemaps (sitemaps.org): XML, plain text, RSS and Atom, to URLs. Streaming, bounded, without entities."""

import contextlib
import re
from typing import NamedTuple
from xml.parsers import expat

from pipeline import charset
from pipeline.urls import canonical_url

_LONG_TAG = re.compile(rb"<[^<]{65536}")  # in XML, no attribute can hold a `<`
_CONTROLS = bytes((*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20)))
# One that begins no entity that XML knows. In CDATA it stands for itself.
_BARE_AMPERSAND = re.compile(
    rb"(<!\[CDATA\[.*?(?:\]\]>|\Z))|&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)", re.DOTALL
)
_MAX_DEPTH = 50
_MAX_PIECES = 100  # of the text of one element, which comments may cut up


class Sitemap(NamedTuple):
    """What a sitemap lists, as canonical URLs in order, each once."""

    pages: list[str]
    sitemaps: list[str]


def parse_sitemap(content: bytes, url: str, *, limit: int) -> Sitemap:
    """The pages and further sitemaps in a sitemap at the canonical URL `url`, at most `limit` together.

    What is damaged ends early: what came before counts. Declarations of entities end it, too.
    """
    text = charset.decode(content).text.lstrip("\ufeff \t\r\n")
    if text.startswith("<"):
        reader = _Reader(limit)
        reader.read(_well_formed(text.encode("utf-8", "replace")))
        return Sitemap(_canonical(reader.pages, url), _canonical(reader.sitemaps, url))
    lines = re.split(r"[\r\n]+", text, maxsplit=limit + 1)[:limit]
    return Sitemap(_canonical([line for line in lines if re.match(r"\s*https?://", line)], url), [])


def _well_formed(xml: bytes) -> bytes:
    """`xml` with what sites write into URLs and XML does not allow made allowed: bare `&` and control characters."""
    xml = xml.translate(None, _CONTROLS)
    return _BARE_AMPERSAND.sub(lambda found: found[1] or b"&amp;", xml) if b"&" in xml else xml


def _canonical(references: list[str], base: str) -> list[str]:
    found: dict[str, None] = {}
    for reference in references:
        try:
            found[canonical_url(reference.strip(), base)] = None
        except ValueError:
            continue
    return list(found)


def _local(name: str) -> str:
    return name.rpartition(":")[2].lower()


class _Enough(Exception):
    """The limit is reached, or the document is not to be read on."""


class _Reader:
    """Collects the locations of one XML document."""

    def __init__(self, limit: int) -> None:
        self.pages: list[str] = []
        self.sitemaps: list[str] = []
        self._limit = limit
        self._path: list[str] = []
        self._text: list[str] = []
        # Always in UTF-8, whatever is declared. Prefixes are cut off, not looked up: some sites declare none.
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.EntityDeclHandler = self._refuse

    def read(self, content: bytes) -> None:
        """Reads until the end, the limit, the first error, or a tag so long that its attributes would fill the memory."""
        long_tag = _LONG_TAG.search(content)
        if long_tag:
            content = content[: long_tag.start()]
        with contextlib.suppress(expat.ExpatError, _Enough):
            self._parser.Parse(content, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = _local(name)
        if len(self._path) >= _MAX_DEPTH:
            raise _Enough
        self._path.append(local)
        self._text = []
        if (
            local == "link"
            and attributes.get("href")
            and attributes.get("rel", "alternate") == "alternate"
            and "entry" in self._path
        ):
            self._add(attributes["href"])

    def _characters(self, text: str) -> None:
        if len(self._text) < _MAX_PIECES:
            self._text.append(text)

    def _end(self, name: str) -> None:
        local = self._path.pop()
        parent = self._path[-1] if self._path else ""
        text = "".join(self._text).strip()
        self._text = []
        if text and ((local == "loc" and parent in ("url", "sitemap")) or (local == "link" and parent == "item")):
            self._add(text)

    def _add(self, reference: str) -> None:
        (self.sitemaps if "sitemapindex" in self._path else self.pages).append(reference)
        if len(self.pages) + len(self.sitemaps) >= self._limit:
            raise _Enough

    def _refuse(self, *declaration: object) -> None:
        raise _Enough
