"""Fixtures for what talks to Flink and to Maven."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from jobs.cluster.maven import MavenSettings
from tests.cluster.answers import Answers


@pytest.fixture
def server() -> Iterator[Answers]:
    with Answers() as answers:
        Thread(target=answers.serve_forever, args=(0.01,), daemon=True).start()
        yield answers
        answers.shutdown()


@pytest.fixture
def maven(server: Answers, tmp_path: Path) -> MavenSettings:
    return MavenSettings(repository=f"http://{server.address}/maven", cache=str(tmp_path / "jars"))
