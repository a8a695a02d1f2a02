"""The first phase: each text is read once and becomes hashes and a signature."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup.exchange import ExchangeWriter, Records
from pipeline.dedup.index import CONTENT_BYTES, SignatureRows, SignatureWriter, read_signatures
from pipeline.dedup.minhash import Permutations, sign_texts
from pipeline.dedup.plan import Plan, References, id_numbers, partition_of, references
from pipeline.dedup.shingles import text_buffers
from pipeline.dedup.survivor import RANK_COLUMNS, measured_values, ranks
from pipeline.steps import Shard
from pipeline.tables import read_batches
from pipeline.urls import canonical_url

if TYPE_CHECKING:
    from pipeline.stage import Outputs

Numbers = npt.NDArray[np.uint64]

# One document for the exchanges by id and by text hash.
IDENTITY = np.dtype(
    [("hash_high", "<u8"), ("hash_low", "<u8"), ("id_high", "<u8"), ("id_low", "<u8"), ("rank", "<f8"), ("ref", "<u8")]
)
# The same where one document of each address is kept: `key` stands for the address, or is the id where there is none.
ADDRESSED = np.dtype([*IDENTITY.descr, ("key_high", "<u8"), ("key_low", "<u8")])
_BATCH_ROWS = 512


def content_hashes(texts: pa.StringArray) -> npt.NDArray[np.uint64]:
    """64 bits over the exact bytes of each text."""
    data, bounds = text_buffers(texts)
    view = memoryview(data.data)
    digests = (
        hashlib.blake2b(view[start:end], digest_size=CONTENT_BYTES).digest()
        for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    )
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def address_keys(urls: Sequence[str], ids: Numbers) -> Numbers:
    """Two numbers for each document that are equal where the address is; its id where it has none of the web."""
    keys = ids.copy()
    for place, url in enumerate(urls):
        try:
            address = canonical_url(url).partition("://")[2]
        except ValueError:
            continue
        digest = hashlib.blake2b(address.encode("utf-8", "replace"), digest_size=16).digest()
        keys[place] = np.frombuffer(digest, ">u8")
    return keys


@dataclass(kw_only=True)
class SignParts:
    """Phase 1, a part each: reads the texts once, leaves a signature table and the part's identities.

    Of a part of an earlier corpus, whose signatures are there, only the identities; they precede all others.
    """

    plan: Plan

    def setup(self) -> None:
        """Draws the permutations."""
        config = self.plan.config
        self._permutations = Permutations.draw(config.banding.num_permutations, config.seed)

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Signs one part, or passes on an earlier one."""
        part = shard.work["index"]
        if part < self.plan.num_earlier:
            earlier = ((rows, rows.ids) for rows in read_signatures(self.plan.signature_table(part)))
            sent = self._identify(part, earlier, -np.inf)
            return {"earlier": sent["sent/by_id"], **sent}
        with SignatureWriter(self.plan.signature_table(part), self.plan.config) as table:
            sent = self._identify(part, self._sign(part, table))
        return {"signed": sent["sent/by_id"], **sent}

    def _identify(
        self, part: int, found: Iterable[tuple[SignatureRows, Numbers]], rank: float | None = None
    ) -> Mapping[str, int]:
        plan, partitions, start = self.plan, self.plan.num_identity_partitions, 0
        with (
            ExchangeWriter(plan.work("by_id", part), identity_of(plan), partitions) as by_id,
            ExchangeWriter(plan.work("by_text", part), IDENTITY, partitions) as by_text,
        ):
            for rows, keys in found:
                identities = _identities(rows, references(part, np.arange(start, start + len(rows))))
                if rank is not None:
                    identities["rank"] = rank
                by_id.add(_keyed(identities, keys, plan), partition_of(keys[:, 0], partitions))
                by_text.add(identities, partition_of(identities["hash_high"], partitions))
                start += len(rows)
        return {**by_id.sent("by_id"), **by_text.sent("by_text")}

    def _sign(self, part: int, table: SignatureWriter) -> Iterator[tuple[SignatureRows, Numbers]]:
        """The rows of one part, which are added to its table, and by which key each is to meet others."""
        config, path = self.plan.config, self.plan.parts[part]
        measured = measured_values(config, f"{self.plan.measures}/{self.plan.part_name(part)}.parquet")
        columns = ["id", "text", *RANK_COLUMNS.get(config.survivor, []), *(["url"] if config.one_per_address else [])]
        for batch in read_batches(path, columns, _BATCH_ROWS):
            texts = batch.column("text")
            signed = sign_texts(*text_buffers(texts), config.shingling, self._permutations)
            rows = SignatureRows(
                ids=id_numbers(batch.column("id").to_pylist(), path),
                contents=content_hashes(texts),
                text_hashes=signed.text_hashes,
                num_shingles=signed.num_shingles,
                ranks=ranks(config, batch, measured),
                signatures=signed.signatures,
            )
            table.add(rows)
            urls = batch.column("url").to_pylist() if config.one_per_address else []
            yield rows, address_keys(urls, rows.ids)


def identity_of(plan: Plan) -> np.dtype[np.void]:
    """What the exchange by id holds: by address, where one document of each is kept."""
    return ADDRESSED if plan.config.one_per_address else IDENTITY


def _keyed(identities: Records, keys: Numbers, plan: Plan) -> Records:
    if not plan.config.one_per_address:
        return identities
    keyed = np.zeros(len(identities), ADDRESSED)
    for name in IDENTITY.names or ():
        keyed[name] = identities[name]
    keyed["key_high"], keyed["key_low"] = keys.T
    return keyed


def _identities(rows: SignatureRows, refs: References) -> npt.NDArray[np.void]:
    identities = np.zeros(len(rows), IDENTITY)
    identities["hash_high"], identities["hash_low"] = rows.text_hashes.T
    identities["id_high"], identities["id_low"] = rows.ids.T
    identities["rank"], identities["ref"] = rows.ranks, refs
    return identities
