"""Files that appear whole or not at all, on a disk and on object stores; manifests; damage."""

import errno
import os
import re
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import manifests, storage
from pipeline.atomic import AtomicFile, FileEntry
from pipeline.errors import DataError, InputError
from pipeline.manifests import Manifest
from pipeline.places import join
from pipeline.tables import TableWriter, read_rows

SCHEMA = pa.schema([("id", pa.string()), ("number", pa.int64())])


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "disk" else f"memory://storage-{tmp_path.name}"


def test_a_file_appears_when_it_is_whole(folder: str) -> None:
    path = join(folder, "deep/er/x.bin")
    with AtomicFile(path) as file:
        file.write(b"hello ")
        file.write(memoryview(b"world"))
        assert not storage.exists(path)
        assert file.tell() == 11
    assert storage.read_bytes(path) == b"hello world"
    entry = file.entry(num_records=2)
    assert (entry.num_bytes, entry.sha256) == (11, storage.checksum(path)[0])
    assert storage.list_files(folder) == [path]


def write_and_raise(path: str, error: BaseException) -> None:
    with AtomicFile(path) as file:
        file.write(b"half")
        raise error


def test_nothing_appears_when_the_block_fails(folder: str) -> None:
    with pytest.raises(KeyError):
        write_and_raise(join(folder, "x.bin"), KeyError())
    assert storage.list_files(folder) == []


def test_a_failed_write_leaves_the_old_file(folder: str) -> None:
    path = join(folder, "x.bin")
    storage.write_bytes(path, b"old")
    with pytest.raises(KeyError):
        write_and_raise(path, KeyError())
    assert storage.read_bytes(path) == b"old"
    storage.write_bytes(path, b"new")
    assert storage.read_bytes(path) == b"new"


def test_interrupts_leave_nothing_either(folder: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_and_raise(join(folder, "x.bin"), KeyboardInterrupt())
    assert storage.list_files(folder) == []


def full_disk(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("when", ["write", "flush"])
def test_a_full_disk_names_the_file_and_leaves_nothing(when: str, tmp_path: Path) -> None:
    path = str(tmp_path / "x.parquet")
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_to_full_disk(path, when)
    assert caught.value.filename == path
    assert list(tmp_path.iterdir()) == []


def write_to_full_disk(path: str, when: str) -> None:
    with TableWriter(path, SCHEMA) as table:
        real: Any = table._sink._file
        table._sink._file = Full(real, when)  # type: ignore[assignment]
        for number in range(20_000):
            table.append({"id": "a" * 20, "number": number})


class Full:
    """A file on a disk that is full when it comes to `when`."""

    def __init__(self, real: Any, when: str) -> None:
        self._real = real
        self._when = when

    def __getattr__(self, name: str) -> Any:
        return full_disk if name == self._when else getattr(self._real, name)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are POSIX")
def test_a_real_limit_of_the_system_is_one_sentence(tmp_path: Path) -> None:
    """A file size limit makes the kernel refuse a write, as a full disk or a quota does."""
    program = """
        import resource, signal, sys
        from pipeline import manifests, steps
        from pipeline.atomic import AtomicFile
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            with AtomicFile(sys.argv[1]) as file:
                for _ in range(100):
                    file.write(bytes(10_000))
        except OSError as error:
            print(steps.explained(error))
    """
    path = str(tmp_path / "x.bin")
    command = [sys.executable, "-c", textwrap.dedent(program), path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=True)
    assert done.stdout.startswith(f"{path}: File too large; there is a limit on the size of files (ulimit -f")
    assert done.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_tables_round_trip_and_their_bytes_hang_on_the_rows_alone(folder: str) -> None:
    rows = [{"id": f"r{number}", "number": number} for number in range(20_000)]
    digests = []
    for name in ("a.parquet", "b.parquet"):
        with TableWriter(join(folder, name), SCHEMA) as table:
            for row in rows:
                table.append(row)
        digests.append(table.entry().sha256)
        assert table.entry().num_records == 20_000
    assert digests[0] == digests[1]
    assert list(read_rows(join(folder, "a.parquet"))) == rows
    with storage.open_read(join(folder, "a.parquet")) as file:
        assert pq.ParquetFile(file).num_row_groups == 3


def test_a_table_that_is_no_parquet_is_a_data_error(folder: str) -> None:
    storage.write_bytes(join(folder, "x.parquet"), b"PAR1 no more")
    with pytest.raises(DataError, match=r"x\.parquet is not readable as Parquet"):
        list(read_rows(join(folder, "x.parquet")))


def test_missing_and_forbidden_files_are_input_errors(folder: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        storage.open_read(join(folder, "nothing"))
    with pytest.raises(InputError, match=r"cannot read .*: Is a directory"):
        storage.open_read(str(tmp_path))
    with pytest.raises(InputError, match="cannot open 'nope://x'"):
        storage.exists("nope://x")


def test_a_store_that_does_not_answer_is_not_taken_for_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "info", broken)
    with pytest.raises(TimeoutError):
        storage.exists("memory://anything")


def test_manifests_round_trip(folder: str) -> None:
    entry = storage.write_bytes(join(folder, "sub/x.bin"), b"abc")
    manifest = Manifest(
        kind="k", fingerprint="f", settings={"a": [1]}, files=(entry.relative_to(folder),), counts={"read": 1}
    )
    manifests.write_manifest(folder, manifest)
    assert manifests.read_manifest(folder) == manifest
    assert manifests.dataset_files(folder) == [join(folder, "sub/x.bin")]
    assert list(manifests.damaged_files(folder)) == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "is damaged"),
        (b"{}", "is damaged: 'format'"),
        (b'{"format": 99, "files": []}', "has format 99; this version reads up to 1"),
    ],
)
def test_damaged_manifests_are_named(content: bytes, sentence: str, folder: str) -> None:
    storage.write_bytes(join(folder, "manifest.json"), content)
    with pytest.raises(DataError, match=r"manifest\.json") as caught:
        manifests.read_manifest(folder)
    assert sentence in str(caught.value)


def test_a_dataset_without_manifest_is_incomplete(folder: str) -> None:
    with pytest.raises(InputError, match="is not a complete dataset"):
        manifests.read_manifest(folder)


def test_damage_is_found(folder: str) -> None:
    entries = [storage.write_bytes(join(folder, f"{name}.bin"), b"abc").relative_to(folder) for name in "abc"]
    manifests.write_manifest(folder, Manifest(kind="k", fingerprint="f", files=tuple(entries)))
    storage.write_bytes(join(folder, "a.bin"), b"abd")
    storage.remove_tree(join(folder, "b.bin"))
    found = list(manifests.damaged_files(folder))
    assert [sentence.split()[0] for sentence in found] == [join(folder, "a.bin"), join(folder, "b.bin")]
    assert "has changed: SHA-256" in found[0]
    assert found[1].endswith("is missing")


def test_paths_of_entries_are_relative(tmp_path: Path) -> None:
    def relative(path: str, folder: str) -> str:
        return FileEntry(path=path, sha256="", num_bytes=0, num_records=0).relative_to(folder).path

    assert relative("/r/pages/a/b.gz", "/r/pages") == "a/b.gz"
    assert relative("s3://b/r/pages/a.gz", "s3://b/r/pages/") == "a.gz"
    assert relative("r/pages/a.gz", "r/pages") == "a.gz"


def test_removing_what_is_not_there_is_nothing(folder: str) -> None:
    storage.remove_tree(join(folder, "nothing"))
    assert storage.list_files(join(folder, "nothing")) == []


def test_other_processes_can_write_the_same_file_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "x.bin")
    with AtomicFile(path) as first:
        first.write(b"same")
        with AtomicFile(path) as second:
            second.write(b"same")
    assert storage.read_bytes(path) == b"same"
    assert os.listdir(tmp_path) == ["x.bin"]


def test_a_pipe_takes_what_is_written_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR)  # opening it for writing waits for a reader otherwise
    try:
        storage.write_bytes(str(pipe), b"abc")
        assert os.read(descriptor, 8) == b"abc"
        assert stat.S_ISFIFO(pipe.lstat().st_mode), "a file took the place of the pipe"
    finally:
        os.close(descriptor)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (errno.ENOENT, False),
        (errno.ENOTDIR, False),  # a file where a folder of the path would be
        (errno.ENAMETOOLONG, False),
        (errno.EACCES, None),  # it may be there; taking it for missing has finished work made again
        (errno.EIO, None),
    ],
)
def test_a_disk_that_does_not_answer_is_not_taken_for_empty(
    number: int, answer: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: str) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr("pipeline.disk.os.stat", failing)
    if answer is None:
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            storage.exists("/anything")
    else:
        assert storage.exists("/anything") is answer


def test_of_a_link_the_link_alone_is_removed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("somebody else's")
    for name, target in (("one", "folder"), ("other", "folder/file"), ("none", "nowhere")):
        (tmp_path / name).symlink_to(tmp_path / target)
        storage.remove_tree(str(tmp_path / name))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder"]
    assert (tmp_path / "folder/file").read_text() == "somebody else's"


def test_no_name_of_the_disk_is_taken_for_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("home/run", "here/~/run"):
        (tmp_path / place).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    storage.remove_tree("~/run")
    assert not (tmp_path / "here/~/run").exists()
    assert (tmp_path / "home/run").exists()


def test_pages_that_do_not_decompress_are_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    with TableWriter(str(path), SCHEMA) as table:
        for number in range(4000):
            table.append({"id": f"{number * 7919:x}", "number": number})
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"part.parquet is not readable as Parquet"):
        list(read_rows(str(path)))
