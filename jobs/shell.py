"""The stages as plain filters over JSON lines, for people at a shell: the same code and settings as in a run.

Each reads records from one file and writes records to another (`-` is standard input or output;
`.gz` and `.zst` by their endings). Records that a stage refuses go, with stage, reason, value and
threshold, to a third file, so that none vanishes.
"""

import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from jobs.config import RunConfig
from jobs.progress import Progress
from pipeline.errors import InputError
from pipeline.extract.language import LanguageFinder
from pipeline.extract.stage import ExtractText
from pipeline.filter.stage import ClassifyDocuments, FilterDocuments, MaskPrivate
from pipeline.jsonl import read_records, writing
from pipeline.records import Document, Page, Rejection, page_id
from pipeline.stage import Judge, judge_one

Fields = Mapping[str, Any]
Change = Callable[[Fields, int], Fields | Rejection]
_PROGRESS_RECORDS = 1000


def rejected_path(target: str) -> str:
    """Where refused records go by default: beside `target`, with `.rejected` before its ending."""
    if target == "-":
        return "rejected.jsonl"
    stem, ending = target, ""
    for suffix in (".zst", ".gz", ".jsonl"):
        if stem.endswith(suffix):
            stem, ending = stem.removesuffix(suffix), suffix + ending
    return f"{stem}.rejected{ending or '.jsonl'}"


def apply(label: str, change: Change, source: str, target: str, rejected: str = "") -> Counter[str]:
    """Passes every record of `source` through `change`; returns the counts `read`, `kept` and `rejected`."""
    refused_path = rejected or rejected_path(target)
    if len({os.path.abspath(path) for path in (source, target, refused_path) if path != "-"}) < sum(
        path != "-" for path in (source, target, refused_path)
    ):
        raise InputError(f"{label}: input, output and rejected records must be three different files")
    counts: Counter[str] = Counter(read=0, kept=0, rejected=0)
    with (
        Progress(label, total=None, unit="records") as progress,
        writing(target) as kept,
        writing(refused_path) as refused,
    ):
        for number, record in enumerate(read_records(source), 1):
            counts["read"] += 1
            verdict = change(record, number)
            if isinstance(verdict, Rejection):
                refused.write({**record, **_explained(verdict)})
                counts.update(("rejected", f"rejected/{verdict.reason}"))
            else:
                kept.write(verdict)
                counts["kept"] += 1
            if number % _PROGRESS_RECORDS == 0:
                progress.set(number, records=number)
    if not counts["rejected"] and not rejected and os.path.exists(refused_path):
        os.unlink(refused_path)
    _report(label, counts, refused_path)
    return counts


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


def _explained(rejection: Rejection) -> dict[str, Any]:
    names = ("stage", "reason", "value", "threshold", "detail", "duplicate_of")
    return {name: value for name in names if (value := getattr(rejection, name)) not in (None, "")}


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
        text = _text(record, number)
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
        raise InputError(f"record {number} has neither `html` nor `text`")
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
    text = _text(record, number)
    document = Document(id=str(record.get("id") or number), url=str(record.get("url") or ""), text=text)
    if record.get("language") or languages is None:
        language, score = str(record.get("language") or ""), float(record.get("language_score") or 1.0)
    else:
        language, score = languages.of_document(text)
    return replace(document, language=language, language_score=score)


def _text(record: Fields, number: int) -> str:
    text = record.get("text")
    if not isinstance(text, str):
        raise InputError(f"record {number} has no `text`; it has {', '.join(sorted(record)) or 'nothing'}")
    return text


def dedup(config: RunConfig, source: str, target: str, rejected: str = "") -> Mapping[str, int]:
    """Records with `text` stay if they are no duplicates of others."""
    from pipeline.dedup.filtering import deduplicate_records

    refused_path = rejected or rejected_path(target)
    counts = Counter(deduplicate_records(source, target, config.dedup, rejected=refused_path))
    _report("dedup", counts, refused_path)
    return counts


def tokenize(tokenizer: str, source: str, target: str) -> None:
    """Records with `text` get `tokens`."""
    from pipeline.pack.encoder import open_encoder
    from pipeline.pack.plain import tokenize_records

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
