"""What extraction gives for one page: `Extracted`, or `Refused` with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a page says about itself. Dates are ISO 8601; what it does not say is empty.

    `kind` is `article` where the page declares itself one, by Open Graph, schema.org or a date of publication.
    """

    title: str = ""
    author: str = ""
    date: str = ""
    canonical: str = ""
    licence: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """The text of a page with its metadata, its language (also by paragraph) and the charset of its bytes."""

    text: str
    metadata: Metadata = field(default_factory=Metadata)
    language: str = ""
    language_score: float = 0.0
    language_shares: Mapping[str, float] = field(default_factory=dict)
    charset: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a page gives no text: the rule, and the measured value beside its threshold."""

    reason: str
    detail: str = ""
    value: float | None = None
    threshold: float | None = None
