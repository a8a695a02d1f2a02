"""Machine code that cannot be kept, or is kept no longer, is made once more: nothing fails for it."""

import os
import shutil
import tempfile
from pathlib import Path

import numba
import pytest
from numba.core import caching

from tokenizer.compiling import kept


def twice(number: int) -> int:
    return 2 * number


def assert_works() -> None:
    """What is wanted of a function in each process anew."""
    assert kept(nogil=True)(twice)(21) == 42


def kept_files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(f"test_compiling.twice-*.{pattern}"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the user has named for the machine code, with some in it."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert_works()
    assert kept_files(tmp_path, "nbi")
    return tmp_path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the machine code among temporary files, where neither the sources nor the home may be written."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for locator in (caching.InTreeCacheLocator, caching.UserWideCacheLocator):
        monkeypatch.setattr(locator, "from_function", classmethod(lambda cls, function, file: None))
    return tmp_path / f"corpusmill-numba-{os.getuid()}"


def test_it_lies_among_the_temporary_files_where_nothing_else_is_writable(temporary: Path) -> None:
    assert_works()
    assert kept_files(temporary, "nbc")
    assert temporary.stat().st_mode & 0o777 == 0o700


def test_a_temporary_folder_that_others_may_write_is_not_trusted(temporary: Path) -> None:
    temporary.mkdir()
    temporary.chmod(0o777)
    assert_works()
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("pattern", ["nbi", "*.nbc"])
@pytest.mark.parametrize("size", [0, 20])
def test_a_damaged_file_is_replaced(cache: Path, pattern: str, size: int) -> None:
    (file,) = kept_files(cache, pattern)
    os.truncate(file, size)
    assert_works()
    assert kept_files(cache, pattern)[0].stat().st_size > size


def test_a_folder_that_takes_no_files_is_done_without(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    function = kept(nogil=True)(twice)
    (folder,) = {file.parent for file in kept_files(cache, "nbi")}
    shutil.rmtree(folder)
    folder.write_bytes(b"")
    assert function(21) == 42
