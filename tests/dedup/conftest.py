"""Small runs: filtered documents on disk, and their deduplication in this process, phase by phase without Beam."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from jobs.dedup import drive, plan_of, step_of
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.phases import Phase, shards_of
from pipeline.manifests import Manifest, write_manifest
from pipeline.places import join
from pipeline.records import Document, page_id
from pipeline.stage import Outputs
from pipeline.steps import write_receipt
from pipeline.tables import DOCUMENTS, TableWriter, document_row

MakeRun = Callable[..., str]


def document(text: str, url: str = "", **fields: str) -> Document:
    """A document with the id of its url (or text) and text."""
    url = url or "http://example.org/"
    return Document(id=page_id(url, text.encode()), url=url, text=text, **fields)  # type: ignore[arg-type]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes documents, in parts of `per_part`, as the dataset filtered/ of a run and returns its folder."""

    def write(documents: Sequence[Document], *, per_part: int = 10, name: str = "run") -> str:
        folder = join(str(tmp_path / name), "filtered")
        entries = []
        for start in range(0, len(documents), per_part):
            with TableWriter(join(folder, f"part-{start // per_part:05d}.parquet"), DOCUMENTS) as table:
                for one in documents[start : start + per_part]:
                    table.append(document_row(one))
            entries.append(table.entry().relative_to(folder))
        manifest = Manifest(kind="filtered", fingerprint="made by a test", files=tuple(entries))
        write_manifest(folder, manifest)
        return str(tmp_path / name)

    return write


def deduplicated(
    run: str, config: DedupConfig | None = None, *, between: Callable[[str], None] | None = None
) -> Manifest:
    """As the job does it; `between` is called before each phase with its name."""
    step = step_of(run, config or DedupConfig())
    step.begin()

    def run_phases(phases: Sequence[Phase]) -> None:
        for phase in phases:
            if between:
                between(phase.name)
            phase.worker.setup()
            for shard in phase.shards:
                outputs = Outputs(run, shard.name)
                write_receipt(step.attempt_folder, outputs.receipt(phase.worker.process(shard, outputs)))

    done = drive(step, plan_of(run, config or DedupConfig()), run_phases)
    return step.commit([shard.name for shard in shards_of(done)])


@pytest.fixture
def in_this_process() -> Callable[..., Manifest]:
    """Deduplicates a run without Beam."""
    return deduplicated


@pytest.fixture
def corpus() -> list[Document]:
    """Originals, near copies (one word changed), copies in another case, later captures of a page, short documents."""
    generator = random.Random(7)
    vocabulary = [f"word{number}" for number in range(3000)]
    documents = []
    for number in range(40):
        words = generator.choices(vocabulary, k=120)
        documents.append(document(" ".join(words), f"http://a.org/{number}"))
        if number % 2:
            near = [*words[:60], "changed", *words[61:]]
            documents.append(document(" ".join(near), f"http://b.org/{number}"))
        if number % 3 == 0:
            documents.append(document("  ".join(words).upper(), f"http://c.org/{number}"))
        if number % 10 == 0:
            documents.append(documents[-1])
        documents.append(document(f"short {number % 15}", f"http://d.org/{number}"))
    return documents
