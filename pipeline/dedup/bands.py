"""Band keys: which documents may be near duplicates, by equal runs of signature values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.dedup.curve import Banding
from pipeline.dedup.exact import DUPLICATE
from pipeline.dedup.exchange import ExchangeWriter, gather
from pipeline.dedup.index import read_signatures
from pipeline.dedup.plan import Plan, References, partition_of, references
from pipeline.dedup.shingles import mixed
from pipeline.steps import Shard
from tokenizer.compiling import kept

if TYPE_CHECKING:
    from pipeline.stage import Outputs

# One band of one document: documents with the same key are candidates. `id` is the upper half of the id.
BAND = np.dtype([("key", "<u8"), ("id", "<u8"), ("ref", "<u8")])
_FACTOR = np.uint64(0xC2B2AE3D27D4EB4F)


@kept(nogil=True)
def _fill_keys(signatures: npt.NDArray[np.uint32], rows: int, keys: npt.NDArray[np.uint64]) -> None:
    for i in range(keys.shape[0]):
        for band in range(keys.shape[1]):
            value = np.uint64(band + 1)
            for row in range(rows):
                value = mixed(value * _FACTOR + np.uint64(signatures[i, band * rows + row]))
            keys[i, band] = value


def band_keys(signatures: npt.NDArray[np.uint32], banding: Banding) -> npt.NDArray[np.uint64]:
    """The keys of the bands of each signature: 64 bits over the number of the band and its values."""
    keys = np.empty((len(signatures), banding.bands), np.uint64)
    _fill_keys(np.ascontiguousarray(signatures), banding.rows, keys)
    return keys


def covered(plan: Plan, part: int) -> References:
    """The documents of a part that another one stands for already (equal text, earlier capture), sorted."""
    files = [
        *plan.arrivals("captures", plan.identity_partitions),
        *plan.arrivals("equals", plan.identity_partitions),
    ]
    return np.unique(gather(files, DUPLICATE, part)["ref"])


@dataclass(kw_only=True)
class BandParts:
    """Phase 4, a part each: sends the band keys of the documents that are left to where equal keys meet."""

    plan: Plan

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Works through one part. Documents without shingles have no band keys."""
        plan, part = self.plan, shard.work["index"]
        banding, partitions = plan.config.banding, plan.num_band_partitions
        gone, start, short = covered(plan, part), 0, 0
        with ExchangeWriter(plan.work("bands", part), BAND, partitions) as bands:
            for rows in read_signatures(plan.signature_table(part)):
                refs = references(part, np.arange(start, start + len(rows)))
                left = ~np.isin(refs, gone, assume_unique=True)
                short += int(np.count_nonzero(left & (rows.num_shingles == 0)))
                left &= rows.num_shingles > 0
                records = np.zeros((int(left.sum()), banding.bands), BAND)
                records["key"] = band_keys(rows.signatures[left], banding)
                records["id"], records["ref"] = rows.ids[left, :1], refs[left, None]
                bands.add(records.ravel(), partition_of(records["key"].ravel(), partitions))
                start += len(rows)
        return {**bands.sent("bands"), "too_short_for_shingles": short}
