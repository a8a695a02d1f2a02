"""Serves a packed static site (`site.tar.zst` and `urlmap.tsv`) on loopback."""

import io
import re
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import zstandard
from aiohttp import web

from tests.site.server import Server, serving


class StaticSite:
    """The files of a packed site by URL path. Links to one of its public `names` stay on the site."""

    def __init__(self, folder: Path, names: Sequence[str] = ()) -> None:
        packed = (folder / "site.tar.zst").read_bytes()
        raw = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(io.BytesIO(packed)).read()
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            files = dict(_files(archive))
        public = re.compile(rb"(?:https?:)?//(?:%s)(?=[/\"'])" % b"|".join(re.escape(name.encode()) for name in names))
        self.pages: dict[str, tuple[bytes, str]] = {}
        self.names: dict[str, str] = {}
        for line in (folder / "urlmap.tsv").read_text("utf-8").splitlines():
            path, name, content_type = line.split("\t")
            body = public.sub(b"", files[name]) if names and content_type.startswith("text/html") else files[name]
            self.pages[unquote(path)] = (body, content_type)
            self.names[unquote(path)] = name

    def get(self, path: str) -> tuple[bytes, str] | str | None:
        """Body and content type of an unescaped URL path; where it leads if it only lacks the slash of a folder."""
        return self.pages.get(path) or (path + "/" if path + "/" in self.pages else None)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to a request."""
        found = self.get(unquote(request.rel_url.raw_path))
        if found is None:
            return web.Response(status=404, text="not here")
        if isinstance(found, str):
            return web.Response(status=301, headers={"Location": request.rel_url.raw_path + "/"})
        response = web.Response(body=found[0])
        response.headers["Content-Type"] = found[1]
        return response


def _files(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """The files in an archive by name."""
    for member in archive:
        file = archive.extractfile(member)
        if file is not None:
            yield member.name.removeprefix("./"), file.read()


@contextmanager
def serving_site(site: StaticSite) -> Iterator[Server]:
    """The site on 127.0.0.1 until the block ends."""
    with serving(site.answer) as server:
        yield server
