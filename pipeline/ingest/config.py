"""Settings of the ways in: `[ingest]` and `[ingest.fields]`."""

import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipeline.errors import SettingError
from pipeline.optout import PageOptOuts

Format = Literal["auto", "warc", "jsonl", "parquet", "arrow", "csv", "html", "text"]


@dataclass(frozen=True, kw_only=True)
class FieldNames:
    """What the fields of JSON lines, or the columns of Parquet, Arrow and CSV, are called.

    A dot goes into a nested one (`metadata.url`). A record with text in `html`
    becomes an HTML page, else one with text in `text` becomes a plain text page.
    """

    text: str = "text"
    html: str = "html"
    url: str = "url"
    id: str = "id"
    title: str = "title"
    author: str = "author"
    date: str = "date"
    language: str = "language"
    licence: str = "licence"
    # Fields to keep beside the text: their values come out in the column `metadata` of the documents, a JSON object.
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.text and not self.html:
            raise SettingError(
                "ingest.fields.text and ingest.fields.html are both empty; name the field that holds the text"
            )
        for name, times in Counter(self.keep).items():
            if not name or times > 1:
                raise SettingError(
                    f"ingest.fields.keep names the field {name!r}{f' {times} times' if name else ''}; each name once, none empty"
                )
            if name in (self.text, self.html):
                raise SettingError(
                    f"ingest.fields.keep names {name!r}, the field that becomes the text of the document"
                )

    def stated(self) -> dict[str, Any]:
        """The names as JSON, for manifests and indexes; `keep` only where something is kept."""
        return {name: value for name, value in asdict(self).items() if name != "keep"} | (
            {"keep": sorted(self.keep)} if self.keep else {}
        )


@dataclass(frozen=True, kw_only=True)
class PageRules:
    """Which archived responses are pages that can be used."""

    # HTTP statuses whose body is the page itself.
    statuses: tuple[int, ...] = (200, 203)
    # A payload larger than this, encodings undone, is rejected as too_large.
    max_page_bytes: int = 20 << 20
    # Whether to keep pages that the crawler cut off (WARC-Truncated) instead of rejecting them as truncated.
    keep_truncated: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.max_page_bytes <= MAX_PAGE_BYTES:
            raise SettingError(f"ingest.max_page_bytes is {self.max_page_bytes}; allowed is 1 to {MAX_PAGE_BYTES}")
        if not self.statuses:
            raise SettingError("ingest.statuses is empty; name at least one HTTP status, for example 200")


MAX_PAGE_BYTES = 256 << 20


@dataclass(frozen=True, kw_only=True)
class IngestConfig(PageRules):
    """Which files to read, and what of them is a page.

    Inputs are files, folders (read with all their subfolders) and glob patterns, on disk or behind any
    URL that fsspec opens. In a folder, files are taken by the ending of their names, others are passed over.
    """

    # Files, folders, globs; their pages get the source label `source`.
    inputs: tuple[str, ...] = ()
    # Lists of more of them, one a line, as Common Crawl's warc.paths.gz; compressed or not. Empty lines and those that
    # begin with # are passed over.
    input_files: tuple[str, ...] = ()
    # Prefixed to lines of the lists that are neither URLs nor absolute paths: "s3://commoncrawl/".
    input_prefix: str = ""
    # The label of these pages, by which training data are mixed later.
    source: str = "ingest"
    # More inputs, by label: [ingest.sources] books = "/data/books/*.jsonl.zst"
    sources: dict[str, str] = field(default_factory=dict)
    # The format of all inputs; `auto` goes by the ending of a name, then by the first bytes.
    format: Format = "auto"
    # How many broken files (unreadable or cut off) are acceptable; one more fails the job after all else is done.
    max_unreadable_files: int = 0
    # Whether each text file is one document, or each of its lines, or each stretch between empty lines.
    text_unit: Literal["file", "line", "paragraph"] = "file"
    # Put before the path of an HTML or text file below its input folder, with a slash between them, to make its URL;
    # empty: it gets a urn.
    base_url: str = ""
    fields: FieldNames = field(default_factory=FieldNames)
    # Whether a page that says that it is not to be used for AI training, or not to be indexed, is rejected as opt_out:
    # by its stored response headers, and by its meta elements, from any input.
    respect_opt_outs: bool = True
    # Which of these wishes count: the settings of [crawl.opt_out] that a page alone can tell.
    opt_out: PageOptOuts = field(default_factory=PageOptOuts)
    # Larger files are shared out to several shards where their format allows it; 0 never does.
    split_bytes: int = 128 << 20
    # Small files are read together, up to so many bytes and so many files in one shard.
    group_bytes: int = 32 << 20
    group_files: int = 4096

    def __post_init__(self) -> None:
        PageRules.__post_init__(self)
        if self.input_prefix and not self.input_files:
            raise SettingError(
                f"ingest.input_prefix is {self.input_prefix!r}, and ingest.input_files is empty; it is for the lines of those"
            )
        for name, inputs in (
            ("inputs", self.inputs),
            ("input_files", self.input_files),
            ("sources", self.sources.values()),
        ):
            if any(not path.strip() for path in inputs):
                raise SettingError(f"ingest.{name} holds an empty path; name files, folders or patterns")
        if self.base_url and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", self.base_url):
            raise SettingError(
                f"ingest.base_url is {self.base_url!r}; it must be the start of a URL, as https://example.org/"
            )
        for name, least in (("max_unreadable_files", 0), ("split_bytes", 0), ("group_bytes", 1), ("group_files", 1)):
            if getattr(self, name) < least:
                raise SettingError(f"ingest.{name} is {getattr(self, name)}; allowed is {least} or more")
        for label in (self.source, *self.sources):
            if not label or any(character.isspace() or character == "/" for character in label):
                raise SettingError(
                    f"ingest.source {label!r} is not a label; use letters, digits, dots, dashes and underscores"
                )
