"""Serves a packed static site (`site.tar.zst` and `urlmap.tsv`) on loopback, and walks its links the plain way."""

import io
import tarfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import lxml.html  # type: ignore[import-untyped,unused-ignore]
import zstandard
from aiohttp import web

from pipeline.urls import canonical_url, url_parts
from tests.site.server import Server, serving


class StaticSite:
    """The files of a packed site by URL path."""

    def __init__(self, folder: Path) -> None:
        packed = (folder / "site.tar.zst").read_bytes()
        raw = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(io.BytesIO(packed)).read()
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            files = dict(_files(archive))
        self.pages: dict[str, tuple[bytes, str]] = {}
        self.names: dict[str, str] = {}
        for line in (folder / "urlmap.tsv").read_text("utf-8").splitlines():
            path, name, content_type = line.split("\t")
            self.pages[unquote(path)] = (files[name], content_type)
            self.names[unquote(path)] = name

    def get(self, path: str) -> tuple[bytes, str] | None:
        """Body and content type of a URL path, in any spelling."""
        return self.pages.get(unquote(path))

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to a request."""
        found = self.get(request.rel_url.raw_path)
        if found is None:
            return web.Response(status=404, text="not here")
        response = web.Response(body=found[0])
        response.headers["Content-Type"] = found[1]
        return response

    def walk(self, starts: list[str], skipped: frozenset[str]) -> set[str]:
        """The URLs of all HTML and text pages that links (`a`, `area`, frames) lead to, found with another HTML parser."""
        seen, pages, queue = set(starts), set(), deque(starts)
        origin = url_parts(starts[0]).origin
        while queue:
            url = queue.popleft()
            found = self.get(url_parts(url).path)
            if (
                found is None
                or not found[1].startswith(("text/html", "application/xhtml", "text/plain"))
                or not found[0].strip()
            ):
                continue
            pages.add(url)
            if found[1].startswith("text/plain"):
                continue
            for link in _links(found[0], url):
                parts = url_parts(link)
                if link not in seen and parts.origin == origin and not parts.path.lower().endswith(tuple(skipped)):
                    seen.add(link)
                    queue.append(link)
        return pages


def _files(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """The files in an archive by name."""
    for member in archive:
        file = archive.extractfile(member)
        if file is not None:
            yield member.name.removeprefix("./"), file.read()


def _links(html: bytes, url: str) -> Iterator[str]:
    """The links of a page by lxml, resolved."""
    tree = lxml.html.document_fromstring(html)
    bases = tree.xpath("//base/@href")
    base = canonical_url(bases[0], url) if bases else url
    for reference in tree.xpath(
        "//a[not(contains(@rel, 'nofollow'))]/@href | //area/@href | //iframe/@src | //frame/@src"
    ):
        try:
            yield canonical_url(reference.strip(), base)
        except ValueError:
            continue


@contextmanager
def serving_site(site: StaticSite) -> Iterator[Server]:
    """The site on 127.0.0.1 until the block ends."""
    with serving(site.answer) as server:
        yield server
