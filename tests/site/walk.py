"""A plain link walk over a static site: the oracle of a crawl. It shares no code with the crawler, not even a parser."""

from collections import deque
from collections.abc import Callable, Iterable
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

Answer = tuple[bytes, str]
_TARGETS = {"a": "href", "area": "href", "iframe": "src", "frame": "src"}


class Links(HTMLParser):
    """Collects the targets of links and frames, and what the page says to robots."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.base = ""
        self.robots = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser."""
        values = {name: value or "" for name, value in reversed(attrs)}
        if tag in _TARGETS and _TARGETS[tag] in values and "nofollow" not in values.get("rel", "").split():
            self.references.append(values[_TARGETS[tag]].strip())
        elif tag == "base":
            self.base = self.base or values.get("href", "")
        elif tag == "meta" and values.get("name", "").lower() == "robots":
            self.robots += "," + values.get("content", "").lower()


def walk(starts: Iterable[str], get: Callable[[str], Answer | str | None]) -> dict[str, bool]:
    """The URLs of all pages that links lead to, with the origin of the first start; whether each asks not to be indexed.

    `get` gives body and content type of a URL path, a text for a redirect, None for what is not there.
    """
    queue = deque(starts)
    origin = urljoin(queue[0], "/")
    seen, pages = set(queue), {}
    while queue:
        url = queue.popleft()
        answer = get(unquote(urlsplit(url).path))
        links = _links(answer, url)
        if links is None:
            continue
        if not isinstance(answer, str):
            pages[url] = "noindex" in links.robots
        for reference in links.references:
            target = _resolved(reference, links.base, url)
            if target.startswith(origin) and target not in seen:
                seen.add(target)
                queue.append(target)
    return pages


def _links(answer: Answer | str | None, url: str) -> Links | None:
    """The links of an answer; None for what is no page."""
    if answer is None:
        return None
    links = Links("")
    if isinstance(answer, str):
        links.references.append(answer)
        return links
    body, content_type = answer
    if not body.strip() or not content_type.startswith(("text/html", "application/xhtml", "text/plain")):
        return None
    return links if content_type.startswith("text/plain") else Links(body.decode("utf-8", "replace"))


def _resolved(reference: str, base: str, url: str) -> str:
    try:
        return urldefrag(urljoin(urljoin(url, base), reference)).url
    except ValueError:
        return ""


def place(url: str) -> tuple[str, str]:
    """Path and query, in a spelling that does not depend on how much is escaped."""
    parts = urlsplit(url)
    return unquote(parts.path), unquote(parts.query)
