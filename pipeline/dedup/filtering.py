"""Deduplication of JSON lines at a shell: the same phases in this process, without Beam, through temporary files.

Memory does not grow with the texts. What grows is on disk (a compressed copy of the texts, about 850 bytes a
document with 14 × 8, 8 bytes a shingle of the candidates) and, in memory, 100 bytes a duplicate that is found.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.dedup.config import DedupConfig
from pipeline.dedup.decisions import decisions_for, rejection_of
from pipeline.dedup.exact import DUPLICATE
from pipeline.dedup.exchange import gather
from pipeline.dedup.finish import Finish
from pipeline.dedup.index import index_files, read_identities
from pipeline.dedup.phases import clustering_phases, finding_phases, passage_phases, sizing_phases
from pipeline.dedup.plan import Plan, id_text, rows_of
from pipeline.dedup.sizes import ClusterSizes
from pipeline.dedup.verify import EDGE
from pipeline.errors import InputError, SettingError
from pipeline.jsonl import RecordWriter, read_records, writing
from pipeline.places import join
from pipeline.records import Rejection
from pipeline.tables import DOCUMENTS, TableWriter, read_rows

PART_DOCUMENTS = 50_000


def deduplicate_records(
    source: str,
    target: str,
    config: DedupConfig | None = None,
    *,
    rejected: str = "",
    text_field: str = "text",
    warn: Callable[[str], None] | None = None,
) -> dict[str, int]:
    """Copies the records of the JSON lines `source` (`-`: standard input) that are no duplicates to `target`, in order.

    A record must have a text; its `id`, or else its `url`, or else its number names it. With the survivor policy
    `smallest_id` the first record of each cluster survives. Records that are rejected go to the JSON lines `rejected`, if
    given, as they are and with `stage`, `reason`, `detail`, `duplicate_of` (the survivor), `value` (the similarity) and
    `threshold`, those that are known. With `cluster_sizes` those that stay get `cluster_size`. `warn` is told what cannot be searched for in evaluation sets.
    Returns the counts `read`, `kept`, `rejected` and one for each reason.

    Raises:
        InputError: a record has no text, or the source changed while it was read.
        SettingError: the survivor policy needs what a file of records does not have.
    """
    config = config or DedupConfig()
    if config.survivor == "best_measure":
        raise SettingError("dedup.survivor is 'best_measure'; a file of records has no measures beside it")
    with tempfile.TemporaryDirectory(prefix="corpusmill-dedup-") as folder:
        spooled = join(folder, "source.jsonl.zst") if source == "-" else ""
        plan = _spool(source, spooled, folder, config, text_field)
        _find(plan)
        with writing(target) as kept:
            if not rejected:
                return _apply(plan, spooled or source, kept, None, text_field, warn)
            with writing(rejected) as refused:
                return _apply(plan, spooled or source, kept, refused, text_field, warn)


def _spool(source: str, spooled: str, folder: str, config: DedupConfig, text_field: str) -> Plan:
    """Writes the texts to parts below `folder`, and the records themselves to `spooled` if it is named."""
    records = enumerate(read_records(source))
    if spooled:
        with writing(spooled) as copy:
            parts = list(_parts(_copied(records, copy), source, folder, text_field))
    else:
        parts = list(_parts(records, source, folder, text_field))
    earlier, num_earlier = index_files(config.against, config)
    return Plan(
        run=folder,
        config=config,
        parts=(*earlier, *(path for path, _ in parts)),
        num_documents=num_earlier + sum(rows for _, rows in parts),
        num_earlier=len(earlier),
    )


def _copied(records: Iterable[tuple[int, dict[str, Any]]], copy: RecordWriter) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, record in records:
        copy.write(record)
        yield number, record


def _parts(
    records: Iterator[tuple[int, dict[str, Any]]], source: str, folder: str, text_field: str
) -> Iterator[tuple[str, int]]:
    """The path and the number of rows of each part; a row's id is its number, its title what the record calls itself."""
    more = next(records, None)
    while more is not None:
        path = join(folder, "texts", f"part-{more[0] // PART_DOCUMENTS:05d}.parquet")
        with TableWriter(path, DOCUMENTS) as table:
            while more is not None and table.num_records < PART_DOCUMENTS:
                table.append(_row(*more, source, text_field))
                more = next(records, None)
        yield path, table.num_records


def _row(number: int, record: Mapping[str, Any], source: str, text_field: str) -> dict[str, str]:
    text = record.get(text_field)
    if not isinstance(text, str):
        raise InputError(f"{source}: the record at line {number + 1} has no text in {text_field!r}")
    known = {name: _utf8(record[name]) for name in ("date", "source") if isinstance(record.get(name), str)}
    return {
        "id": _id(number),
        "url": _utf8(str(record.get("url") or "")),
        "title": _name(record, number),
        "text": _utf8(text),
        **known,
    }


def _id(number: int) -> str:
    """The id that a record has here: in order of number, and told apart by either half (passages know only the first)."""
    return id_text(number, number)


def _name(record: Mapping[str, Any], number: int) -> str:
    return _utf8(str(record.get("id") or record.get("url") or number + 1))


def _utf8(text: str) -> str:
    """A text that has a UTF-8 form: lone surrogates, which JSON can write, become question marks."""
    return text.encode(errors="replace").decode()


@dataclass
class _NoOutputs:
    """Takes note of nothing: the phases that find duplicates leave work files only."""

    def add(self, output: str, entry: object, *, content: str = "") -> None:
        """Drops the note."""


def _find(plan: Plan) -> None:
    outputs: Any = _NoOutputs()
    for phase in finding_phases(plan) + clustering_phases(plan) + passage_phases(plan) + sizing_phases(plan):
        phase.worker.setup()
        for shard in phase.shards:
            phase.worker.process(shard, outputs)


def _apply(
    plan: Plan,
    source: str,
    kept: RecordWriter,
    refused: RecordWriter | None,
    text_field: str,
    warn: Callable[[str], None] | None,
) -> dict[str, int]:
    records, names, finish = read_records(source), _survivor_names(plan) if refused else {}, Finish(plan)
    finish.setup()
    if warn:
        for line in finish.warnings:
            warn(line)
    counts = finish.counts = Counter(read=0, kept=0, rejected=0)
    for part in plan.own_parts:
        decisions = decisions_for(plan, part)
        sizes = ClusterSizes(plan, part, read_identities(plan.signature_table(part))[0], rows_of(decisions["ref"]))
        about = dict(zip(rows_of(decisions["ref"]).tolist(), decisions, strict=True))
        for at, spooled in enumerate(read_rows(plan.parts[part], ["id", "title"])):
            record = next(records, None)
            if record is None or _name(record, counts["read"]) != spooled["title"]:
                raise InputError(f"{source}: the record at line {counts['read'] + 1} changed while it was read")
            counts["read"] += 1
            row: Mapping[str, Any] = {
                "id": spooled["id"],
                "url": str(record.get("url") or ""),
                "text": record[text_field],
            }
            if at in about:
                rejection: Rejection | None = rejection_of(about[at], plan.config.threshold, row["url"])
            else:
                row, rejection = finish.finish(row)
            if rejection is None:
                kept.write({**record, text_field: row["text"], **sizes.beside(at)})
                counts["kept"] += 1
                continue
            counts.update(("rejected", f"rejected/{rejection.stage}/{rejection.reason}"))
            if refused:
                by = names.get(rejection.duplicate_of, rejection.duplicate_of)
                # What has no id is named as it would be named as a survivor.
                refused.write({"id": spooled["title"], **record, **replace(rejection, duplicate_of=by).explained()})
    return dict(counts)


def _survivor_names(plan: Plan) -> dict[str, str]:
    """What the records that survive in a cluster call themselves, by the id that they have here."""
    wanted = [decisions_for(plan, part) for part in plan.own_parts]
    numbers = {int(one["by_low"]) for decisions in wanted for one in decisions if not one["earlier"]}
    names, number = {}, 0
    for part in plan.own_parts:
        for row in read_rows(plan.parts[part], ["title"]):
            if number in numbers:
                names[_id(number)] = row["title"]
            number += 1
    return names


def found_pairs(texts: Sequence[str], config: DedupConfig) -> tuple[list[tuple[int, int]], list[int]]:
    """The pairs of texts that are equal or verified as near duplicates, and those that do not survive; by place."""
    with tempfile.TemporaryDirectory(prefix="corpusmill-dedup-") as folder:
        parts = list(_parts(((at, {"text": text}) for at, text in enumerate(texts)), "the texts", folder, "text"))
        paths, sizes = tuple(path for path, _ in parts), [rows for _, rows in parts]
        plan = Plan(run=folder, config=config, parts=paths, num_documents=sum(sizes))
        _find(plan)
        pairs, gone = [], []
        for part in plan.own_parts:
            edges, equals = (
                gather([plan.work("edges", part)], EDGE, 0),
                plan.arrivals("equals", plan.identity_partitions),
            )
            pairs += list(zip(edges["a_low"].tolist(), edges["b_low"].tolist(), strict=True))
            duplicates = gather(equals, DUPLICATE, part)
            pairs += list(zip(duplicates["id_low"].tolist(), duplicates["by_low"].tolist(), strict=True))
            gone += decisions_for(plan, part)["id_low"].tolist()
    return pairs, gone
