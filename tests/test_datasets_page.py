"""`docs/datasets.md` names every column that a run has."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.count.table import ROWS
from pipeline.crawl.index import LEDGER
from pipeline.dedup import index
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.decontaminate import MATCHES
from pipeline.dedup.passages import PASSAGES
from pipeline.dedup.verify import EDGES
from pipeline.tables import DOCUMENTS_WITH_KEPT, PAGES, REJECTIONS, measures_schema, read_batches, with_cluster_size
from tests.runs import Made

PAGE = (Path(__file__).parents[1] / "docs/datasets.md").read_text("utf-8")
NAMED = set(re.findall(r"`([a-z_0-9]+…?)`", PAGE))
# Named by a row of first and last, or by how they begin.
FAMILIES = re.compile(r"(top|dup)_\d+_gram_share|masked_\w+|own_\w+")
SCHEMAS = {"documents": with_cluster_size(DOCUMENTS_WITH_KEPT), "rejections": REJECTIONS, "pages": PAGES, "ledger": LEDGER, "matches": MATCHES, "edges": EDGES, "counts": ROWS, "passages": PASSAGES, "signatures": index.schema(DedupConfig())}  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_every_column_is_explained(schema: pa.Schema) -> None:
    assert set(schema.names) - NAMED == set()


def test_every_measure_is_explained(made: Made) -> None:
    batch = next(read_batches(str(made.run / "measures/part-000000.parquet")))
    measures = set(batch.schema.names) - set(measures_schema(()).names)
    assert {name for name in measures - NAMED if not FAMILIES.fullmatch(name)} == set()
    assert len(measures) > 40
