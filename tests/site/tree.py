"""A site of any size on loopback: page N links to pages 2N and 2N+1 and to one page of the next host."""

from aiohttp import web

from tests.site.server import Server


class TreeSite:
    """Pages 1 to `num_pages` on each host, with an ETag each; `edition` changes some of them."""

    def __init__(self, addresses: tuple[str, ...], num_pages: int) -> None:
        self.addresses = addresses
        self.num_pages = num_pages
        self.edition = 0
        self.changed: frozenset[int] = frozenset()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request."""
        address, _, port = request.host.partition(":")
        name = request.path.removeprefix("/page/").removesuffix(".html")
        if request.path != "/" and not (name.isdigit() and 1 <= int(name) <= self.num_pages):
            return web.Response(status=404)
        number = 1 if request.path == "/" else int(name)
        edition = self.edition if number in self.changed else 0
        etag = f'"{number}-{edition}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        neighbour = self.addresses[(self.addresses.index(address) + 1) % len(self.addresses)]
        links = [f"/page/{each}.html" for each in (2 * number, 2 * number + 1) if each <= self.num_pages]
        links.append(f"http://{neighbour}:{port}/page/{number}.html")
        anchors = " ".join(f'<a href="{link}">on</a>' for link in links)
        body = f"<!doctype html><title>{number}</title><p>Page {number} of {address}, edition {edition}.</p>{anchors}"
        return web.Response(body=body.encode(), headers={"Content-Type": "text/html", "ETag": etag})

    def urls(self, server: Server) -> set[str]:
        """Every page."""
        inner = {
            server.url(f"/page/{number}.html", host)
            for host in range(len(self.addresses))
            for number in range(1, self.num_pages + 1)
        }
        return inner | {server.url("/", host) for host in range(len(self.addresses))}
