"""The stages as plain filters over JSON lines, for people at a shell: the same code and settings as in a run.

Each reads records from one file and writes records to another (`-` is standard input or output;
`.gz` and `.zst` by their endings). Records that a stage refuses go, with stage, reason, value and
threshold, to a third file, so that none vanishes: also lines that are no JSON objects, and records
without what the filter reads. A file of nothing else is the wrong file, and an error.
"""

import json
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from jobs.config import RunConfig
from jobs.progress import Progress
from pipeline.errors import InputError
from pipeline.extract.language import LanguageFinder
from pipeline.extract.stage import ExtractText
from pipeline.filter.stage import ClassifyDocuments, FilterDocuments, MaskPrivate
from pipeline.jsonl import Line, RecordWriter, numbered_records, read_records, writing
from pipeline.language_codes import language_code
from pipeline.places import is_local, on_disk
from pipeline.records import Document, Page, Rejection, page_id
from pipeline.stage import Judge, judge_one

Fields = Mapping[str, Any]
Change = Callable[[Fields, int], Fields | Rejection]
_PROGRESS_RECORDS = 1000
_SHOWN_BYTES = 65_536


class UnusableError(ValueError):
    """A record lacks what a filter reads; the message says what."""


def rejected_path(label: str, target: str) -> str:
    """Where refused records go by default: beside `target`, with `.rejected` before its ending.

    Of what goes to standard output, in a file that has the name of the filter: several may follow each other in a pipe.
    """
    if target == "-":
        return f"{label}.rejected.jsonl"
    stem, ending = target, ""
    for suffix in (".zst", ".gz", ".jsonl"):
        if stem.endswith(suffix):
            stem, ending = stem.removesuffix(suffix), suffix + ending
    return f"{stem}.rejected{ending or '.jsonl'}"


def apply(label: str, change: Change, source: str, target: str, rejected: str = "") -> Counter[str]:
    """Passes every record of `source` through `change`; returns the counts `read`, `kept` and `rejected`."""
    refused_path = rejected or rejected_path(label, target)
    _different_files(label, source, target, refused_path)
    counts: Counter[str] = Counter(read=0, kept=0, rejected=0)
    with (
        Progress(label, total=None, unit="records") as progress,
        writing(refused_path) as refused,
        writing(target) as kept,
    ):
        unusable = _Unusable(label, refused, counts)
        for number, record in numbered_records(source, unusable.line):
            counts["read"] += 1
            try:
                verdict = change(record, number)
            except UnusableError as error:
                unusable.record(number, record, str(error))
                continue
            if isinstance(verdict, Rejection):
                refused.write({**record, **verdict.explained()})
                counts.update(("rejected", f"rejected/{verdict.reason}"))
            else:
                kept.write(verdict)
                counts["kept"] += 1
            if counts["read"] % _PROGRESS_RECORDS == 0:
                progress.set(counts["read"], records=counts["read"])
        if counts["read"] and unusable.number == counts["read"]:
            raise InputError(f"{source}: {unusable.first}; so it is with every record of it")
    if not counts["rejected"] and not rejected and os.path.isfile(refused_path):
        os.unlink(refused_path)
    _report(label, counts, refused_path)
    return counts


def _different_files(label: str, *paths: str) -> None:
    """Raises InputError if one file is to be read and written, or written twice."""
    files = [os.path.realpath(on_disk(path)) for path in paths if path != "-" and is_local(path)]
    files = [file for file in files if not os.path.exists(file) or os.path.isfile(file)]  # all may go to /dev/null
    if len(set(files)) < len(files):
        raise InputError(
            f"{label}: what is read and what is written must be different files; given are {', '.join(paths)}"
        )


class _Unusable:
    """Writes what no filter can take to the refused records, and remembers the first of it."""

    def __init__(self, label: str, refused: RecordWriter, counts: Counter[str]) -> None:
        self._label = label
        self._refused = refused
        self._counts = counts
        self.number = 0
        self.first = ""

    def line(self, line: Line, why: str) -> None:
        """Takes a line that is no object."""
        self._counts["read"] += 1
        shown = (line.data or b"")[:_SHOWN_BYTES].decode(errors="backslashreplace")
        self._take("unreadable.not_an_object", line.number, {"line": shown} if shown else {}, why)

    def record(self, number: int, record: Fields, why: str) -> None:
        """Takes an object without what the filter reads."""
        self._take("unreadable.no_text", number, record, why)

    def _take(self, reason: str, number: int, record: Fields, why: str) -> None:
        detail = f"the record at line {number} {why}"
        self.first = self.first or detail
        self.number += 1
        self._refused.write({**record, "stage": self._label, "reason": reason, "detail": detail})
        self._counts.update(("rejected", f"rejected/{reason}"))


def _report(label: str, counts: Counter[str], refused_path: str) -> None:
    reasons = ", ".join(
        f"{count} {name.removeprefix('rejected/')}"
        for name, count in counts.most_common()
        if name.startswith("rejected/")
    )
    detail = f" ({reasons}) → {refused_path}" if reasons else ""
    print(
        f"{label}: {counts['read']:,} read, {counts['kept']:,} kept, {counts['rejected']:,} rejected{detail}",
        file=sys.stderr,
    )


def extract(config: RunConfig) -> Change:
    """Records with `html` (or `text`) get `text`, title, author, date, licence and language; `html` goes."""
    judge = ExtractText(config.extract)
    judge.setup()

    def change(record: Fields, number: int) -> Fields | Rejection:
        verdict = judge_one((judge,), _page(record, number))
        if isinstance(verdict, Rejection):
            return verdict
        found = {
            name: getattr(verdict, name)
            for name in ("title", "author", "date", "licence", "canonical", "language", "language_score")
        }
        rest = {name: value for name, value in record.items() if name != "html"}
        return {**rest, "text": verdict.text, **{name: value for name, value in found.items() if value}}

    return change


def langid(config: RunConfig) -> Change:
    """Records with `text` get `language`, `language_score` and `languages`, the shares by paragraph."""
    finder = LanguageFinder(config.extract.language)

    def change(record: Fields, number: int) -> Fields | Rejection:
        text = _text(record)
        language, score = finder.of_document(text)
        return {
            **record,
            "language": language,
            "language_score": round(score, 6),
            "languages": dict(finder.shares(text)),
        }

    return change


def filtering(config: RunConfig) -> Change:
    """Records with `text` stay if every rule of `[filter]` passes."""
    return _judged(FilterDocuments(config.filter), languages=LanguageFinder(config.extract.language))


def classify(config: RunConfig) -> Change:
    """Records with `text` get their spam and toxicity scores and stay unless a classifier refuses them."""
    return _judged(
        ClassifyDocuments(config.filter), with_measures=True, languages=LanguageFinder(config.extract.language)
    )


def mask(config: RunConfig) -> Change:
    """Personal data in `text` is replaced by placeholders."""
    return _judged(MaskPrivate(config.filter), with_measures=True)


def _judged(judge: Judge, *, with_measures: bool = False, languages: LanguageFinder | None = None) -> Change:
    judge.setup()

    def change(record: Fields, number: int) -> Fields | Rejection:
        document = _document(record, number, languages)
        verdict = judge_one((judge,), document)
        if isinstance(verdict, Rejection):
            return verdict
        measures = {"measures": _known(verdict.measures)} if with_measures and verdict.measures else {}
        return {**record, "text": verdict.text, **measures}

    return change


def _known(measures: Mapping[str, float]) -> dict[str, float | None]:
    """The measures, null where one was not taken: JSON has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in measures.items()}


def _page(record: Fields, number: int) -> Page:
    html, text = record.get("html"), record.get("text")
    content = html if isinstance(html, str) and html else text
    if not isinstance(content, str):
        raise UnusableError(f"has neither `html` nor `text`; {_fields_of(record)}")
    payload = content.encode("utf-8", "surrogatepass")
    url = str(record.get("url") or "")
    metadata = {
        name: str(record[name]) for name in ("title", "author", "date", "language", "licence") if record.get(name)
    }
    return Page(
        id=str(record.get("id") or page_id(url, payload)),
        url=url,
        payload=payload,
        media_type="text/html" if content is html else "text/plain",
        charset="utf-8",
        metadata=metadata,
    )


def _document(record: Fields, number: int, languages: LanguageFinder | None) -> Document:
    text = _text(record)
    document = Document(id=str(record.get("id") or number), url=str(record.get("url") or ""), text=text)
    if record.get("language"):
        language, score = language_code(str(record["language"])), float(record.get("language_score") or 1.0)
    elif languages is None:
        language, score = "", 1.0
    else:
        language, score = languages.of_document(text)
    return replace(document, language=language, language_score=score)


def _text(record: Fields) -> str:
    text = record.get("text")
    if "text" in record and not isinstance(text, str):
        raise UnusableError(f"has the `text` {json.dumps(text)[:40]}, which is no text in quotes")
    if not isinstance(text, str):
        raise UnusableError(f"has no `text`; {_fields_of(record)}")
    return text


def _fields_of(record: Fields) -> str:
    return f"it has {', '.join(sorted(record)) or 'nothing'}"


def dedup(config: RunConfig, source: str, target: str, rejected: str = "") -> Mapping[str, int]:
    """Records with `text` stay if they are no duplicates of others."""
    from pipeline.dedup.filtering import deduplicate_records

    refused_path = rejected or rejected_path("dedup", target)
    _different_files("dedup", source, target, refused_path)
    warn = partial(print, "dedup:", file=sys.stderr)
    counts = Counter(deduplicate_records(source, target, config.dedup, rejected=refused_path, warn=warn))
    _report("dedup", counts, refused_path)
    return counts


def tokenize(tokenizer: str, source: str, target: str) -> None:
    """Records with `text` get `tokens`."""
    from pipeline.pack.encoder import open_encoder
    from pipeline.pack.plain import tokenize_records

    _different_files("tokenize", source, target, tokenizer)
    with writing(target) as kept:
        number = 0
        for record in tokenize_records(read_records(source), open_encoder(tokenizer)):
            kept.write(record)
            number += 1
    print(f"tokenize: {number:,} records", file=sys.stderr)


def pack(config: RunConfig, tokenizer: str, source: str, target: str) -> None:
    """Records with `tokens` or `text` become training rows."""
    from pipeline.pack.encoder import open_encoder
    from pipeline.pack.plain import pack_records

    _different_files("pack", source, target, tokenizer)
    number = 0
    with writing(target) as kept:
        for row in pack_records(read_records(source), config.pack, open_encoder(tokenizer)):
            kept.write(row)
            number += 1
    print(f"pack: {number:,} rows", file=sys.stderr)


FILTERS: Mapping[str, Callable[[RunConfig], Change]] = {
    "extract": extract,
    "langid": langid,
    "filter": filtering,
    "classify": classify,
    "mask": mask,
}
