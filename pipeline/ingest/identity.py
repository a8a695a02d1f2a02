"""The URL under which a page is known: canonical where it is one, else a urn that does not change."""

from urllib.parse import quote

from pipeline.ingest.captures import Capture
from pipeline.urls import canonical_url

FILE_KINDS = ("html", "text")  # of which a file is one page


def known_url(url: str) -> str:
    """`url` in its canonical form; what is no web address stays as it is, in one line."""
    try:
        return canonical_url(url)
    except ValueError:
        return quote(url.strip(), safe="!#$%&'()*+,/:;=?@[]~-._")


def url_of(capture: Capture, digest: str, *, source: str, name: str, base_url: str) -> str:
    """The URL of a page. One without gets a urn: of its key or its file within the source, else of its content."""
    if capture.url:
        return known_url(capture.url)
    if capture.key:
        return f"urn:corpusmill:{source}:{quote(capture.key, safe='/:')}"
    if capture.place.kind in FILE_KINDS:
        return url_of_file(source=source, name=name, base_url=base_url)
    return f"urn:sha256:{digest}"


def url_of_file(*, source: str, name: str, base_url: str) -> str:
    """The URL of the one page that a file is: below `base_url`, or a urn of its name within the source."""
    return known_url(f"{base_url.rstrip('/')}/{quote(name)}") if base_url else f"urn:corpusmill:{source}:{quote(name)}"
