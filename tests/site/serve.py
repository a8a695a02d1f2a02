"""`python -m tests.site.serve FOLDER --port N`: a packed static site on loopback until Ctrl-C, for trying a crawl on it."""

import argparse
from pathlib import Path

from aiohttp import web

from tests.site.static import StaticSite


def main() -> None:
    """Serves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="holds site.tar.zst and urlmap.tsv")
    parser.add_argument("--port", type=int, default=8041)
    options = parser.parse_args()
    site = StaticSite(options.folder)
    application = web.Application()
    application.router.add_route("GET", "/{path:.*}", site.answer)
    web.run_app(application, host="127.0.0.1", port=options.port, access_log=None)


if __name__ == "__main__":
    main()
