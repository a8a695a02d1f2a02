"""What the tests of whole runs share: a run made once, copies of it, and what two runs have in common."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import manifests
from pipeline.tables import read_rows

# What a run holds that is in no dataset: logs have clocks, run.toml names the folder, the report both.
_NOT_COMPARED = ("logs/", ".lock", "run.toml", "report.html")
# The datasets that the pages decide, downstream of them.
LATER = (
    "filtered",
    "measures",
    "rejected/filter",
    "documents",
    "duplicates",
    "rejected/dedup",
    "counts",
    "tokenizer",
    "shards",
)


@dataclass(frozen=True)
class Made:
    """A finished run, its settings, and the records that went in."""

    settings: Path
    run: Path
    inputs: Path
    records: list[dict[str, Any]]

    def copied(self, folder: Path) -> "Made":
        """The same run as a copy in `folder`, over the same inputs."""
        folder.mkdir(parents=True, exist_ok=True)
        settings = folder / self.settings.name
        settings.write_text(self.settings.read_text("utf-8").replace(str(self.run), str(folder / "run")), "utf-8")
        shutil.copytree(self.run, folder / "run")
        return Made(settings, folder / "run", self.inputs, self.records)


def contents(run: Path, datasets: tuple[str, ...] = ()) -> dict[str, bytes]:
    """The bytes of every file of a run (or of some of its datasets) by relative path, logs and the like left out."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if (
            path.is_file()
            and not name.startswith(_NOT_COMPARED)
            and (not datasets or name.startswith(tuple(each + "/" for each in datasets)))
        ):
            found[name] = path.read_bytes()
    assert found, f"{run} holds nothing to compare"
    return found


def assert_same(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    """Fails with the names of the files that differ, not with their bytes."""
    assert sorted(one) == sorted(other)
    assert not [name for name in one if one[name] != other[name]]


def written(run: Path) -> dict[str, int]:
    """When each file was written, in nanoseconds, by relative path; the files that every command writes are left out."""
    paths = ((path, path.relative_to(run).as_posix()) for path in run.rglob("*") if path.is_file())
    return {name: path.stat().st_mtime_ns for path, name in paths if not name.startswith(_NOT_COMPARED)}


def rows(run: Path, dataset: str) -> list[dict[str, Any]]:
    """All rows of the Parquet parts that the manifest of a dataset names."""
    folder = str(run / dataset)
    return [
        row
        for path in manifests.dataset_files(folder)
        if path.endswith(".parquet") and "part-" in path.rpartition("/")[2]
        for row in read_rows(path)
    ]
