"""All settings of a run: one table for each stage, each a dataclass beside the code that it configures."""

import os
import platform
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from jobs.cluster.maven import MavenSettings
from jobs.settings import build, is_utf8, override, read_toml, to_toml
from model.config import ModelConfig
from model.evaluate_config import EvaluateConfig
from model.train_config import TrainConfig
from pipeline import storage
from pipeline.count.config import CountConfig
from pipeline.crawl.config import CrawlConfig
from pipeline.dedup.config import DedupConfig
from pipeline.errors import InputError, SettingError
from pipeline.extract.config import ExtractConfig
from pipeline.filter.config import FilterConfig
from pipeline.ingest.config import IngestConfig
from pipeline.manifests import MANIFEST, RUN_FILE
from pipeline.pack.config import PackConfig
from pipeline.places import is_local, join
from pipeline.steps import ATTEMPTS
from tokenizer.config import TokenizerConfig

# The folders of a run that hold datasets.
DATASETS = (
    "pages", "filtered", "measures", "documents", "duplicates", "rejected",
    "counts", "tokenizer", "encoded", "shards", "model", "evaluation",
)  # fmt: skip
_VERSIONED = ("corpusmill", "apache-beam", "pyarrow", "trafilatura", "tokenizers", "torch", "numpy")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """`[run]`: where the run lies and what it tolerates."""

    # The folder of the run, or an object-store URL. Default: runs/ and the name of the settings file.
    folder: str = ""
    # The largest share of pages that may end as `error/…` (an unforeseen exception) before the job fails; and of those
    # that are no longer in their files as they were indexed.
    max_error_share: float = 0.05
    # A job on worker processes or a cluster ends when none of its workers gave a sign of life for so long.
    stall_seconds: float = 900.0
    # Where Beam's job server for Flink and Spark comes from.
    maven: MavenSettings = field(default_factory=MavenSettings)

    def __post_init__(self) -> None:
        if self.stall_seconds <= 0:
            raise SettingError(f"run.stall_seconds is {self.stall_seconds}; it is more than 0")
        if not 0 <= self.max_error_share <= 1:
            raise SettingError(f"run.max_error_share is {self.max_error_share}; it is a share, 0 to 1")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The settings of a run. Each table may be left out."""

    run: RunSettings = field(default_factory=RunSettings)
    crawl: CrawlConfig = field(default_factory=CrawlConfig)
    ingest: IngestConfig = field(default_factory=IngestConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    dedup: DedupConfig = field(default_factory=DedupConfig)
    count: CountConfig = field(default_factory=CountConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    pack: PackConfig = field(default_factory=PackConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    def __post_init__(self) -> None:
        if self.crawls and self.ingests:
            raise SettingError(
                "crawl.seeds and ingest.inputs are both given; a run has one way in: make a run of each, and name the folder of one in ingest.inputs of the other"
            )

    @property
    def crawls(self) -> bool:
        """Whether the pages come from a crawl."""
        return bool(self.crawl.seeds or self.crawl.seed_files or self.crawl.seed_sitemaps)

    @property
    def ingests(self) -> bool:
        """Whether the pages come from files."""
        return bool(self.ingest.inputs or self.ingest.input_files or self.ingest.sources)


def load(path: str, assignments: Sequence[str] = ()) -> RunConfig:
    """The settings in the TOML file `path`, or those that the run in folder `path` was made with.

    Raises:
        InputError: there is no such file, and no run either.
        SettingError: see `jobs.settings.build`.
    """
    run_file = join(path, RUN_FILE)
    if not path.endswith(".toml") and storage.exists(run_file):
        config = _built(read_toml(run_file), assignments, path.rstrip("/") or path)
        _check_name(config.run.folder)
        return config
    if not path.endswith(".toml") and _is_folder_or_nothing(path):
        raise InputError(f"{path} is neither a settings file nor the folder of a run, which holds a {RUN_FILE}")
    config = _built(read_toml(path), assignments)
    name = posixpath.basename(path).removesuffix(".toml")
    config = config if config.run.folder else replace(config, run=replace(config.run, folder=f"runs/{name}"))
    _check_name(config.run.folder)
    _check_moved(path, config.run.folder, assignments)
    return config


def _built(tables: dict[str, Any], assignments: Sequence[str], folder: str = "") -> RunConfig:
    """The settings of a file, those of the run in `folder` if it is named; `run.folder` among the assignments comes last."""
    if folder and isinstance(tables.setdefault("run", {}), dict):
        tables["run"]["folder"] = folder
    config = build(RunConfig, override(tables, assignments))
    expanded = os.path.expanduser(config.run.folder)  # no shell has done so in a file
    return replace(config, run=replace(config.run, folder=expanded or folder))


def _check_name(folder: str) -> None:
    """Raises SettingError if the folder of a run has a name that its run.toml could not hold."""
    if not is_utf8(folder):
        raise SettingError(f"run.folder is {folder!r}, which is not UTF-8; choose a folder whose name is, or rename it")


def _check_moved(path: str, folder: str, assignments: Sequence[str]) -> None:
    """Refuses the run.toml of a run that was copied or moved and still names the folder of the other one.

    Raises:
        SettingError: it does, and nobody says which of the two is meant.
    """
    around = posixpath.dirname(path) or "."
    named = any(assignment.partition("=")[0].replace(" ", "") == "run.folder" for assignment in assignments)
    if named or posixpath.basename(path) != RUN_FILE or not is_local(path) or not holds_datasets(around):
        return
    if os.path.realpath(around) != os.path.realpath(folder):
        raise SettingError(
            f"run.folder in {path} is {folder}, but the file lies in the run {around}; "
            f"name one of these folders in place of the file, or give run.folder with --set"
        )


def holds_datasets(folder: str) -> bool:
    """Whether a folder has a complete dataset of a run, or one under way."""
    places = (join(folder, name, MANIFEST) for name in DATASETS)
    return any(map(storage.exists, places)) or bool(storage.list_files(join(folder, ATTEMPTS)))


def is_record(content: bytes) -> bool:
    """Whether the content of a run.toml was written by `write_resolved`, and not by a person."""
    return content.startswith(f"# {_VERSIONED[0]} ".encode())


def _is_folder_or_nothing(path: str) -> bool:
    return (is_local(path) and os.path.isdir(path)) or not storage.exists(path)


def write_resolved(config: RunConfig) -> None:
    """Writes RUN/run.toml: every setting with its value, and the versions that are at work."""
    lines = [f"# {name} {installed(name)}" for name in _VERSIONED] + [f"# python {platform.python_version()}"]
    storage.write_bytes(join(config.run.folder, RUN_FILE), ("\n".join(lines) + "\n\n" + to_toml(config)).encode())


def installed(name: str) -> str:
    """The version of an installed package, or `unknown`."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
