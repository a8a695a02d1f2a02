"""The decisions applied: each document of a part leaves once, as a survivor or as a rejection that names one."""

from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.atomic import FileEntry
from pipeline.dedup.decisions import Ledger, rejection_of
from pipeline.dedup.decontaminate import MATCHES, STAGE
from pipeline.dedup.finish import Finish
from pipeline.dedup.index import SignatureWriter, read_signatures
from pipeline.dedup.passages import PASSAGES
from pipeline.dedup.plan import (
    CONTAMINATION_OUTPUT,
    DOCUMENTS_OUTPUT,
    PASSAGES_OUTPUT,
    REJECTED_OUTPUT,
    SIGNATURES_OUTPUT,
    Plan,
)
from pipeline.dedup.sizes import ClusterSizes
from pipeline.steps import Shard
from pipeline.tables import REJECTIONS, TableWriter, document_schema, read_batches, rejection_row, with_cluster_size

if TYPE_CHECKING:
    from pipeline.stage import Outputs


@dataclass(kw_only=True)
class ApplyDecisions:
    """The last phase but one, a part each: writes the survivors and the rejections of one part."""

    plan: Plan

    def setup(self) -> None:
        """Reads what the survivors are compared with."""
        self._finish = Finish(self.plan)
        self._finish.setup()

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Applies the decisions about one part; returns `read`, `kept`, `rejected` and a count for each reason."""
        config, part, finish = self.plan.config, shard.work["index"], self._finish
        counts = finish.counts = Counter(read=0, kept=0, rejected=0, kept_text_bytes=0)
        survived = [np.zeros(0, bool)]
        if finish.warnings:
            outputs.remark(finish.warnings)
        with (
            outputs.table(DOCUMENTS_OUTPUT, self._schema(part)) as kept,
            outputs.table(REJECTED_OUTPUT, REJECTIONS) as rejected,
            _report(outputs, CONTAMINATION_OUTPUT, MATCHES, bool(config.decontaminate.sets)) as contamination,
            _report(outputs, PASSAGES_OUTPUT, PASSAGES, config.passages.action != "off") as passages,
        ):
            ledger = Ledger(self.plan, part)
            sizes = ClusterSizes(self.plan, part, ledger.ids, ledger.gone)
            for batch in read_batches(self.plan.parts[part]):
                start = ledger.num_read
                survives, decisions = ledger.take(batch)
                refused = iter([rejection_of(one, config.threshold) for one in decisions])
                for at, row in enumerate(batch.to_pylist()):
                    if survives[at]:
                        row, verdict = finish.finish({**row, **sizes.beside(start + at)}, contamination, passages)
                    else:
                        verdict = next(refused)
                    if verdict is None:
                        kept.append(row)
                        counts["kept_text_bytes"] += len(row["text"].encode())
                        continue
                    survives[at] = False
                    rejected.append({**rejection_row(verdict), "url": row["url"]})
                    counts[f"rejected/{STAGE}/{verdict.reason}"] += 1
                survived.append(survives)
            ledger.close()
        tables = {DOCUMENTS_OUTPUT: kept, REJECTED_OUTPUT: rejected}
        reports = {CONTAMINATION_OUTPUT: contamination, PASSAGES_OUTPUT: passages}
        for name, table in (tables | reports).items():
            if table:
                outputs.add(name, table.entry())
        if config.keep_signatures:
            outputs.add(SIGNATURES_OUTPUT, self._keep_signatures(part, outputs, np.concatenate(survived)))
        counts.update(read=ledger.num_read, kept=kept.num_records, rejected=rejected.num_records)
        counts.update(sizes.counts)
        counts["received/decisions"] = ledger.num_decisions
        return counts

    def _schema(self, part: int) -> pa.Schema:
        schema = document_schema(self.plan.parts[part])
        return with_cluster_size(schema) if self.plan.config.cluster_sizes else schema

    def _keep_signatures(self, part: int, outputs: "Outputs", survives: npt.NDArray[np.bool_]) -> FileEntry:
        start = 0
        with SignatureWriter(outputs.path(SIGNATURES_OUTPUT, ".parquet"), self.plan.config) as table:
            for rows in read_signatures(self.plan.signature_table(part)):
                table.add(rows.taken(survives[start : start + len(rows)]))
                start += len(rows)
        return table.entry()


def _report(
    outputs: "Outputs", name: str, schema: pa.Schema, wanted: bool
) -> AbstractContextManager[TableWriter | None]:
    """The table of a report, where it is wanted."""
    return outputs.table(name, schema) if wanted else nullcontext()
