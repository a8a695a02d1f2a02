"""The closed ledger: every page that came in is a document or a rejection, exactly once.

Counts are compared between the manifests of neighbouring steps, and so are the ids themselves: each
dataset's ids are folded into one number that does not depend on their order, so that a page that was
lost and another that came twice do not cancel out, in constant memory.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline import manifests, storage
from pipeline.errors import DataError
from pipeline.places import join
from pipeline.tables import read_batches

_MODULUS = 1 << 128


@dataclass(frozen=True, kw_only=True)
class Balance:
    """One step of the ledger: what went in must be what was kept and what was rejected."""

    step: str
    came_in: str
    kept: str
    rejected: str


BALANCES = (
    Balance(step="filter", came_in="pages", kept="filtered", rejected="rejected/filter"),
    Balance(step="dedup", came_in="filtered", kept="documents", rejected="rejected/dedup"),
)


def check(run: str) -> None:
    """Nothing, if the ledger of `run` closes.

    Raises:
        DataError: it does not; the sentence names the step and the numbers.
    """
    faults = list(differences(run))
    if faults:
        raise DataError(f"the ledger of {run} does not close: " + "; ".join(faults))


def differences(run: str) -> Iterator[str]:
    """One sentence for each balance that does not hold; steps that have not run are left out."""
    yield from _differing_pages(run)
    for balance in BALANCES:
        folders = [join(run, name) for name in (balance.came_in, balance.kept, balance.rejected)]
        if not all(storage.exists(join(folder, manifests.MANIFEST)) for folder in folders):
            continue
        came_in, kept, rejected = (_folded(folder) for folder in folders)
        if came_in[0] != kept[0] + rejected[0]:
            yield f"step {balance.step}: {came_in[0]} came in, {kept[0]} were kept and {rejected[0]} rejected"
        elif came_in[1] != (kept[1] + rejected[1]) % _MODULUS:
            yield f"step {balance.step}: the ids that came in are not those that were kept or rejected"
        counts = manifests.read_manifest(folders[1]).counts
        told = {"read": came_in[0], "kept": kept[0], "rejected": rejected[0]}
        for name in sorted(told.keys() & counts.keys()):
            if counts[name] != told[name]:
                yield f"step {balance.step}: the manifest of {folders[1]} counts {counts[name]} {name}, the files hold {told[name]}"


def _differing_pages(run: str) -> Iterator[str]:
    folders = [join(run, name) for name in ("pages", "rejected/pages")]
    if not all(storage.exists(join(folder, manifests.MANIFEST)) for folder in folders):
        return
    counts = manifests.read_manifest(folders[0]).counts
    kept, rejected = (_folded(folder)[0] for folder in folders)
    if counts["read"] != kept + rejected:
        yield f"step pages: {counts['read']} records were read, {kept} became pages and {rejected} were rejected"


def _folded(folder: str) -> tuple[int, int]:
    """How many rows a dataset has, and the sum of the hashes of their ids."""
    number, folded = 0, 0
    for entry in manifests.read_manifest(folder).files:
        if entry.path.endswith(".parquet") and entry.path.startswith("part-"):
            for batch in read_batches(join(folder, entry.path), ["id"], batch_rows=8192):
                for value in batch.column("id").to_pylist():
                    number += 1
                    digest = hashlib.blake2b(value.encode(), digest_size=16).digest()
                    folded = (folded + int.from_bytes(digest, "little")) % _MODULUS
    return number, folded
