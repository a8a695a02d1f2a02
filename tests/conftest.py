"""Fixtures for all tests."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import hypothesis
import pytest

from tests import corpora
from tests.commands import Commands
from tests.runs import Made

# How long a case takes says how busy the machine is.
hypothesis.settings.register_profile("any speed", deadline=None)
hypothesis.settings.load_profile("any speed")

# What takes long to make and is only read; the process that makes it runs all tests that want it.
_SHARED = {"made": "runs", "trained": "trained", "crawl": "crawl", "real_counts": "real_counts"}


@pytest.hookimpl(tryfirst=True)  # before xdist writes the groups into the names, by which it divides
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps the tests that share something together, where tests run side by side."""
    for item in items:
        wanted = [group for name, group in _SHARED.items() if name in getattr(item, "fixturenames", ())]
        if wanted and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(wanted[0]))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """No bytes in names: compressed ones hold the second they were made in, and processes must find the same tests."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that lies beside the repository; tests that need it are skipped where there is none."""
    folder = Path(__file__).parents[2] / "shared/data"
    if not folder.is_dir():
        pytest.skip(f"needs the real data in {folder}, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """Starts commands in processes of their own."""
    return Commands(tmp_path_factory.mktemp("commands"))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Made:
    """A finished run over a small folder of pages. Read it, and change copies of it alone."""
    folder = tmp_path_factory.mktemp("made")
    records = corpora.records()
    inputs = corpora.write_inputs(folder / "inputs", records)
    made = Made(
        corpora.write_settings(folder / "settings.toml", run=folder / "run", inputs=inputs),
        folder / "run",
        inputs,
        records,
    )
    ended = commands.run(
        "run", made.settings, seconds=560
    )  # seconds alone; minutes where numba has compiled nothing yet
    assert ended.code == 0, ended.err
    return made


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Callable[[], Made]:
    """Copies of the finished run, to be changed."""
    numbers = count()
    return lambda: made.copied(tmp_path / f"copy-{next(numbers)}")
