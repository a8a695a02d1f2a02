"""Settings `[run.maven]`: where Beam's job server comes from."""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class MavenSettings:
    """Where Beam's job server comes from, if no file is given."""

    # A Maven repository: the central one, or a mirror of it.
    repository: str = "https://repo.maven.apache.org/maven2"
    # SHA-256 of the job server; empty: the SHA-1 that the repository states beside it must match.
    job_server_sha256: str = ""
    # Where jars are kept; empty: where Beam keeps its own.
    cache: str = ""

    def __post_init__(self) -> None:
        if self.job_server_sha256 and not re.fullmatch("[0-9a-f]{64}", self.job_server_sha256):
            raise SettingError("run.maven.job_server_sha256 is not 64 hexadecimal digits in lower case")

    @property
    def folder(self) -> Path:
        """The folder of the jars."""
        return Path(self.cache or Path.home() / ".apache_beam/cache/jars")
