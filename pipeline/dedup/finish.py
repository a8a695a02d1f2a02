"""What happens to the documents that survive: repeated passages are taken out, evaluation items are looked for."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipeline.dedup.decontaminate import STAGE, Decontaminate
from pipeline.dedup.passages import EMPTIED, RepeatedPassages, passage_row
from pipeline.dedup.plan import Plan
from pipeline.records import Rejection
from pipeline.tables import TableWriter


class Finish:
    """Finishes the survivors of one worker, one at a time."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        config = plan.config
        self._decontaminate = Decontaminate(config.decontaminate) if config.decontaminate.sets else None
        self._passages: RepeatedPassages | None = None
        self.counts: Counter[str] = Counter()

    def setup(self) -> None:
        """Reads the evaluation sets and the repeated passages, where they are asked for."""
        if self._decontaminate:
            self._decontaminate.setup()
        if self._plan.config.passages.action != "off":
            self._passages = RepeatedPassages.read(self._plan)

    @property
    def warnings(self) -> list[str]:
        """What is to be said of the evaluation sets, after `setup`."""
        return self._decontaminate.index.warnings if self._decontaminate else []

    def finish(
        self, row: Mapping[str, Any], contamination: TableWriter | None = None, passages: TableWriter | None = None
    ) -> tuple[Mapping[str, Any], Rejection | None]:
        """The survivor as it stays, and its rejection where it is one after all; the reports get what was found."""
        row, rejection = self._without_passages(row, passages)
        if rejection or self._decontaminate is None:
            return row, rejection
        verdict, matches = self._decontaminate.judge_text(row["id"], row["url"], row["text"])
        if contamination:
            for line in self._decontaminate.report_rows(row["id"], row["url"], matches):
                contamination.append(line)
        return row, verdict

    def _without_passages(
        self, row: Mapping[str, Any], report: TableWriter | None
    ) -> tuple[Mapping[str, Any], Rejection | None]:
        if self._passages is None:
            return row, None
        removal = self._passages.without(row["id"], row["text"])
        if not removal.num_passages:
            return row, None
        self.counts.update(repeated_passages_found=removal.num_passages, repeated_passages_bytes=removal.num_bytes)
        if report:
            report.append(passage_row(row["id"], removal))
        if self._plan.config.passages.action == "count":
            return row, None
        if not removal.text.strip():
            detail = f"{removal.num_passages} passages of {removal.num_bytes} bytes"
            return row, Rejection(id=row["id"], url=row["url"], stage=STAGE, reason=EMPTIED, detail=detail)
        return {**row, "text": removal.text}, None
