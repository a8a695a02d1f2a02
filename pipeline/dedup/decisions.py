"""What becomes of each document of a part that does not survive, and the ledger that joins it to the documents.

Decisions meet documents by reference, and every time the id and the hash of the text are compared. What
does not agree, or is left over, ends the job: nothing is ever removed in the place of something else.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup.clusters import NEAR
from pipeline.dedup.decontaminate import STAGE
from pipeline.dedup.exact import DUPLICATE
from pipeline.dedup.exchange import Records, gather
from pipeline.dedup.index import read_identities
from pipeline.dedup.plan import Plan, References, id_text, own, parts_of, rows_of
from pipeline.dedup.verify import SetReader, check_same, similarities
from pipeline.errors import DataError
from pipeline.records import Rejection

SAME_PAGE, EXACT_DUPLICATE, NEAR_DUPLICATE, SAME_ADDRESS = range(4)
REASONS = ("same_page", "exact_duplicate", "near_duplicate", "same_address")

# What becomes of one rejected document. `by` is the survivor, but for the same page the earlier capture, for the same address the one kept of it;
# `earlier` says that it is of an earlier corpus.
DECISION = np.dtype(
    [
        ("ref", "<u8"),
        ("id_high", "<u8"),
        ("id_low", "<u8"),
        ("by_high", "<u8"),
        ("by_low", "<u8"),
        ("similarity", "<f8"),
        ("reason", "<u1"),
        ("earlier", "<u1"),
    ]
)


class Gone(NamedTuple):
    """The documents of one part that do not survive: later captures of a page, equals of a survivor, and near
    duplicates, each beside the one of the same text (`compared`) that its similarity is to be taken from."""

    captures: Records
    equals: Records
    near: Records
    compared: References


def gone_of(plan: Plan, part: int) -> Gone:
    """The documents of one part that do not survive, with who stands for each."""
    captures = gather(plan.arrivals("captures", plan.identity_partitions), DUPLICATE, part)
    equals = gather(plan.arrivals("equals", plan.identity_partitions), DUPLICATE, part)
    own = near_decisions(plan, np.array([part]))
    inherited, stand_ins, left = inherit(equals, near_decisions(plan, np.unique(parts_of(equals["by"]))))
    return Gone(captures, left, np.concatenate((own, inherited)), np.concatenate((own["ref"], stand_ins)))


def decisions_for(plan: Plan, part: int) -> Records:
    """The decisions about the documents of one part, by reference."""
    captures, equals, near, compared = gone_of(plan, part)
    values = completed(plan, compared, near)
    decisions = np.concatenate(
        (
            _decisions(plan, captures, _of_captures(captures), np.full(len(captures), np.nan)),
            _decisions(plan, equals, EXACT_DUPLICATE, np.ones(len(equals))),
            _decisions(plan, near, NEAR_DUPLICATE, values),
        )
    )
    return decisions[np.argsort(decisions["ref"], kind="stable")]


def near_decisions(plan: Plan, parts: npt.NDArray[np.int64]) -> Records:
    """The near duplicates among the documents of some parts, by reference."""
    if not plan.config.near:
        return np.zeros(0, NEAR)
    found = [gather(plan.work_files("near", plan.num_near_files), NEAR, int(part)) for part in parts]
    near = np.concatenate([np.zeros(0, NEAR), *found])
    return near[np.argsort(near["ref"], kind="stable")]


def inherit(equals: Records, near: Records) -> tuple[Records, References, Records]:
    """Passes on what became of those that stand for others: where one is a near duplicate of a survivor, so
    are the documents of equal text. Returns those, who stood for each of them, and the equals that are left."""
    at = np.minimum(np.searchsorted(near["ref"], equals["by"]), max(len(near) - 1, 0))
    gone = near["ref"][at] == equals["by"] if len(near) else np.zeros(len(equals), dtype=bool)
    inherited = near[at[gone]]
    for name in ("ref", "id_high", "id_low"):
        inherited[name] = equals[name][gone]
    return inherited, equals["by"][gone], equals[~gone]


def completed(plan: Plan, documents: References, near: Records) -> npt.NDArray[np.float64]:
    """The similarity of each of `documents` to the survivor in `near`, computed now where no edge gave it."""
    values = near["similarity"].copy()
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        pairs = np.stack((documents[missing], near["by"][missing]), 1)
        values[missing] = np.concatenate([value for *_, value in similarities(pairs, SetReader(plan))])
    return values


def _of_captures(captures: Records) -> npt.NDArray[np.uint8]:
    """Which of them are the same page again, and which another one of the same address."""
    same = (captures["id_high"] == captures["by_high"]) & (captures["id_low"] == captures["by_low"])
    return np.where(same, SAME_PAGE, SAME_ADDRESS).astype(np.uint8)


def _decisions(
    plan: Plan, records: Records, reason: int | npt.NDArray[np.uint8], values: npt.NDArray[np.float64]
) -> Records:
    decisions = np.zeros(len(records), DECISION)
    for name in ("ref", "id_high", "id_low", "by_high", "by_low"):
        decisions[name] = records[name]
    decisions["similarity"], decisions["reason"] = values, reason
    decisions["earlier"] = ~own(records["by"], plan)
    return decisions


def check_decisions(plan: Plan, part: int, decisions: Records, ids: npt.NDArray[np.uint64]) -> None:
    """Compares decisions with the ids of the documents that they are about.

    Raises:
        DataError: one is about a document that is not there, about another one, or there are two about one.
    """
    rows = rows_of(decisions["ref"])
    wrong = rows >= len(ids)
    wrong[1:] |= np.diff(rows) == 0
    inside = np.flatnonzero(~wrong)
    about = np.stack((decisions["id_high"], decisions["id_low"]), 1)
    wrong[inside] |= (about[inside] != ids[rows[inside]]).any(axis=1)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{plan.where(part, int(rows[at]))} does not hold {id_text(*about[at])}, about which there is a decision: "
            "a record was lost or moved between phases"
        )


class Ledger:
    """The decisions about one part beside what was signed, taken batch by batch in the order of the documents.

    `ids` are those of all its documents, `gone` the rows of those that do not survive.
    """

    def __init__(self, plan: Plan, part: int) -> None:
        self._plan = plan
        self._part = part
        self.ids, self._contents = read_identities(plan.signature_table(part))
        self._decisions = decisions_for(plan, part)
        self.gone = rows_of(self._decisions["ref"])
        check_decisions(plan, part, self._decisions, self.ids)
        self.num_read = 0
        self.num_decisions = len(self._decisions)

    def take(self, batch: pa.RecordBatch) -> tuple[npt.NDArray[np.bool_], Records]:
        """Which of the next documents survive, and the decisions about the others in order.

        Raises:
            DataError: they are not the documents that were signed.
        """
        start, end = self.num_read, self.num_read + batch.num_rows
        if end > len(self.ids):
            raise DataError(
                f"{self._plan.parts[self._part]} has more than the {len(self.ids)} documents that were signed"
            )
        check_same(self._plan, self._part, np.arange(start, end), batch, self.ids[start:end], self._contents[start:end])
        low, high = np.searchsorted(self.gone, (start, end))
        survives = np.ones(batch.num_rows, dtype=bool)
        survives[self.gone[low:high] - start] = False
        self.num_read = end
        return survives, self._decisions[low:high]

    def close(self) -> None:
        """Checks that every document that was signed came by.

        Raises:
            DataError: some are missing.
        """
        if self.num_read != len(self.ids):
            raise DataError(
                f"{self._plan.parts[self._part]} has {self.num_read} documents, but {len(self.ids)} were signed"
            )


def rejection_of(decision: np.void, threshold: float, url: str = "") -> Rejection:
    """The rejection that a decision stands for."""
    value, reason = float(decision["similarity"]), int(decision["reason"])
    detail = "of an earlier corpus" if decision["earlier"] else ""
    if detail and reason == NEAR_DUPLICATE:
        detail += ", similarity estimated from signatures"
    return Rejection(
        id=id_text(decision["id_high"], decision["id_low"]),
        url=url,
        stage=STAGE,
        reason=REASONS[reason],
        detail=detail,
        value=None if np.isnan(value) else value,
        threshold=threshold if reason == NEAR_DUPLICATE else None,
        duplicate_of=id_text(decision["by_high"], decision["by_low"]),
    )
