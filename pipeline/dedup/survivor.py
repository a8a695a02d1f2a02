"""Which of several duplicates is kept: a rank per document, the lowest survives, the smallest id decides ties."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup.config import DedupConfig
from pipeline.errors import DataError, InputError
from pipeline.storage import exists
from pipeline.tables import read_rows

RANK_COLUMNS = {"earliest": ["date"], "preferred_source": ["source"]}


def ranks(config: DedupConfig, batch: pa.RecordBatch, measured: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """The rank of each document of a batch. What has no date or no measure comes last."""
    if config.survivor == "longest":
        return -np.array([len(text) for text in batch.column("text").to_pylist()], dtype=np.float64)
    if config.survivor == "earliest":
        return np.array([_day(date or "") for date in batch.column("date").to_pylist()], dtype=np.float64)
    if config.survivor == "preferred_source":
        order = {source: place for place, source in enumerate(config.preferred_sources)}
        return np.array(
            [order.get(source, len(order)) for source in batch.column("source").to_pylist()], dtype=np.float64
        )
    if config.survivor == "best_measure":
        return np.array([-measured.get(one, -math.inf) for one in batch.column("id").to_pylist()], dtype=np.float64)
    return np.zeros(batch.num_rows)


def measured_values(config: DedupConfig, path: str) -> dict[str, float]:
    """The measure that decides, by document id, from the measures file beside an input part."""
    if config.survivor != "best_measure":
        return {}
    if not exists(path):
        raise InputError(f"no such file: {path}; dedup.survivor = 'best_measure' needs the measures of the filter step")
    try:
        rows = read_rows(path, ["id", config.survivor_measure])
        values = {row["id"]: row[config.survivor_measure] for row in rows}
    except KeyError:
        raise DataError(f"{path} has no measure {config.survivor_measure!r} (dedup.survivor_measure)") from None
    return {key: value for key, value in values.items() if value is not None and not math.isnan(value)}


def _day(date: str) -> float:
    """An ISO 8601 date as a number that grows with time; infinite where there is none."""
    digits = [int(piece) for piece in date[:10].split("-") if piece.isdigit()]
    if not digits or not date[:4].isdigit():
        return math.inf
    year, month, day = (*digits, 1, 1)[:3]
    return year * 10_000.0 + month * 100 + day
