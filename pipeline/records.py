"""The records that flow through the pipeline: frozen, slotted, keyword-only, free of Beam.

Each page that enters leaves exactly once: as a `Document` or as a `Rejection`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

NO_MEASURES: Mapping[str, float] = {}
NO_METADATA: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One fetched or ingested page: its bytes as they came, and where they came from.

    `payload` is the HTTP body with transfer and content encodings undone, still in the charset of
    the page; `media_type` is `text/html` (also XHTML) or `text/plain`; `charset` is what the
    transport said, or empty. `metadata` holds what the source already knew (title, language, …), `kept`
    the fields of its record that are to be kept as they are: a JSON object, empty where none are asked for.
    """

    id: str
    url: str
    payload: bytes
    media_type: str = "text/html"
    charset: str = ""
    source: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)
    kept: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The text of one page, with what is known about it.

    `id` is the id of its page. `canonical` is the address that the page names as its own, or empty. `date` is the publication date that the page states (ISO 8601,
    or empty): the time of the fetch never reaches a document. `metadata` is the JSON object of the
    fields that were kept of its record, empty where none were asked for. `cluster_size` is how many documents it stands
    for, itself included: 1 before duplicates are looked for. `measures` are the values that
    the filter rules compared, by measure name.
    """

    id: str
    url: str
    text: str
    title: str = ""
    author: str = ""
    date: str = ""
    language: str = ""
    language_score: float = 0.0
    licence: str = ""
    source: str = ""
    canonical: str = ""
    metadata: str = ""
    cluster_size: int = 1
    measures: Mapping[str, float] = field(default_factory=lambda: NO_MEASURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why one page did not become (or stay) a document.

    `reason` is the name of the rule that decided, `value` the measured value and `threshold` what
    it was compared with, where there are such. `duplicate_of` is the id of the survivor and
    `value` then the verified similarity. `detail` is for people: one line of text.
    """

    id: str
    url: str
    stage: str
    reason: str
    detail: str = ""
    value: float | None = None
    threshold: float | None = None
    duplicate_of: str = ""
    measures: Mapping[str, float] = field(default_factory=lambda: NO_MEASURES)

    def explained(self) -> dict[str, str | float]:
        """What is known of the decision, by name, to stand beside the fields of the record that it is about."""
        names = ("stage", "reason", "value", "threshold", "detail", "duplicate_of")
        return {name: value for name in names if (value := getattr(self, name)) not in (None, "")}


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRow:
    """One training row: `tokens` of length T+1, and which documents its T positions belong to.

    Position p has the input `tokens[p]` and the label `tokens[p + 1]`. Document `doc_ids[i]` (16 raw
    bytes of its id) has the positions `starts[i]` to below `ends[i]`, and its labels there begin
    with number `offsets[i]` of its labels. Positions of no document are padding, without a label.
    """

    tokens: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    offsets: tuple[int, ...]
    doc_ids: tuple[bytes, ...]
    source: str = ""


def page_id(url: str, payload: bytes) -> str:
    """The id of a page: 32 hex digits, a hash of its canonical URL and of its payload.

    No clock and no position enters it, so two crawls of an unchanged page give the same id.
    """
    return page_id_of_digest(url, payload_digest(payload))


def page_id_of_digest(url: str, digest: str) -> str:
    """As `page_id`, from a payload digest (see `payload_digest`)."""
    return hashlib.blake2b(f"{url}\n{digest}".encode("utf-8", "replace"), digest_size=16).hexdigest()


def payload_digest(payload: bytes) -> str:
    """The SHA-256 of a payload, as 64 hex digits."""
    return hashlib.sha256(payload).hexdigest()
