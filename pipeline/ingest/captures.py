"""What a reader finds in an input: a capture of a page, a refusal, or something that is no page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.ingest.kept import NOTHING_KEPT, Kept
from pipeline.records import NO_METADATA

HTML_TYPES = frozenset(("text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"))
TEXT_TYPES = frozenset(("text/plain", "text/markdown", "text/x-rst"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page lies: `kind` names the reader that finds it again at `position` of its file.

    `length` is the number of bytes to read there where the reader knows it, else 0. `file` is set where the input
    only names the file that holds the page, as the index of a run does.
    """

    kind: str
    position: int
    length: int = 0
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A usable page with its bytes, content encodings undone. `date` is that of the capture.

    `url` is as the source gave it, or empty; `key` then names the record within its source, if anything does.
    `wishes` are the response headers that may say what a page is not to be used for, names in lower case.
    `kept` are the fields of its record that are to be kept.
    """

    place: Place
    url: str
    payload: bytes
    media_type: str
    charset: str = ""
    date: str = ""
    key: str = ""
    wishes: Sequence[tuple[str, str]] = ()
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)
    kept: Kept = NOTHING_KEPT


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A page that cannot be used, or a place where a file is broken, and why.

    `reason` is `unreadable_file` or `truncated_file` where the file as such is at fault. `unread` says that the system
    did not let us read it, which may be otherwise next time.
    """

    place: Place
    reason: str
    detail: str
    url: str = ""
    value: float | None = None
    threshold: float | None = None
    unread: bool = False

    @property
    def is_of_file(self) -> bool:
        """Whether the file is broken, not just one record."""
        return self.reason in FILE_REASONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """A record that is no page, such as a WARC request: counted under its `kind`."""

    kind: str


FILE_REASONS = frozenset(("unreadable_file", "truncated_file"))
Found = Capture | Refusal | Other


def usable_media_type(media_type: str) -> str:
    """`text/html` or `text/plain` for what can become a document, else empty."""
    if media_type in HTML_TYPES:
        return "text/html"
    return "text/plain" if media_type in TEXT_TYPES else ""
