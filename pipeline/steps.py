"""One step of a run: what it makes, from what, whether that is up to date, and how far an attempt got.

A step works through named shards. A worker writes the files of a shard (each atomically), then its
receipt: a small JSON file that names them. Receipts are the commit: an attempt that was killed goes
on after the shards that have one, files without one are replaced, and when every shard has its
receipt the driver writes the manifests. Receipts are also how people see the progress of a job, on
any engine. No Beam here.
"""

import errno
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pipeline import manifests, storage
from pipeline.atomic import FileEntry
from pipeline.disk import is_link
from pipeline.errors import CorpusmillError, DataError, InputError, SettingError, limit_behind, shortage_of
from pipeline.heartbeat import ALIVE
from pipeline.manifests import Manifest, hash_of
from pipeline.places import join

ATTEMPTS = "attempts"
_FAILURE = "failure.json"
_MARKER = "attempt.json"
_TAKEN_OVER = "taken-over"
_KINDS = (SettingError, InputError, DataError)
_FEW_FILES, _SMALL_SHARE = 64, 0.01  # of a disk that is full of files, and of one that is full of bytes
_OF_FULL_DISKS = frozenset((errno.ENOSPC, errno.EDQUOT))
# What object stores raise without an error number, and the packages whose errors speak of the store and not of us.
_OF_STORES = (PermissionError, FileNotFoundError, TimeoutError, ConnectionError)
_STORE_PACKAGES = frozenset(
    ("botocore", "aiobotocore", "gcsfs", "google", "adlfs", "azure", "aiohttp", "huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
)  # fmt: skip

_begun: ContextVar[list[str] | None] = ContextVar("begun", default=None)


class StaleAttemptError(CorpusmillError):
    """The attempt that a worker belongs to is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One unit of work. `name` names its files; `work` is JSON that its worker understands."""

    name: str
    work: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a finished shard left: its files by dataset, its counts by name.

    `contents` may give, by dataset, a hash of what downstream work depends on, for datasets whose
    bytes also hold what it does not depend on (offsets and dates of an archive, say).
    """

    shard: str
    files: Mapping[str, tuple[FileEntry, ...]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a run.

    `outputs` are dataset folders relative to `run`; the first is the primary one, its manifest is
    written last of all. `settings` are JSON values that decide the bytes, `inputs` maps the names of
    input datasets to their folders, `external` holds whatever else identifies the inputs (JSON),
    `versions` those of the libraries whose results reach the bytes. What is `passing` lives only while a job runs.
    """

    run: str
    name: str
    outputs: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    external: Any = None
    versions: Mapping[str, str] = field(default_factory=dict)
    passing: bool = False

    def folder(self, output: str) -> str:
        """The whole path of one of the outputs."""
        return join(self.run, output)

    @property
    def attempt_folder(self) -> str:
        """Where the receipts of the attempt under way lie."""
        return join(self.run, ATTEMPTS, self.name)

    def input_contents(self) -> dict[str, str]:
        """What this step depends on, by input dataset.

        Raises:
            InputError: an input dataset is missing or incomplete.
        """
        return {name: content_of(manifests.read_manifest(folder)) for name, folder in self.inputs.items()}

    def work(self) -> dict[str, Any]:
        """What a manifest says of the work, as JSON: settings, inputs and library versions."""
        return {
            "settings": _plain(self.settings),
            "inputs": self.input_contents(),
            "versions": dict(self.versions),
        }

    def fingerprint(self) -> str:
        """The name of the work: equal for equal settings, inputs and library versions."""
        return hash_of({"step": self.name, "external": self.external, "format": manifests.FORMAT, **self.work()})

    def earlier_work(self) -> Mapping[str, Any]:
        """As `work`, of what lies there now: an attempt that is not over, or a finished dataset; empty if neither does."""
        marker, manifest = join(self.attempt_folder, _MARKER), join(self.folder(self.outputs[0]), manifests.MANIFEST)
        found: dict[str, Any] = next(
            (storage.read_json(path) for path in (marker, manifest) if storage.exists(path)), {}
        )
        return {name: found[name] for name in ("settings", "inputs", "versions") if name in found}

    def is_current(self) -> bool:
        """Whether every output is complete and made by exactly this work."""
        fingerprint = self.fingerprint()
        for output in self.outputs:
            if not storage.exists(join(self.folder(output), manifests.MANIFEST)):
                return False
            if manifests.read_manifest(self.folder(output)).fingerprint != fingerprint:
                return False
        return True

    def goes_on(self) -> bool:
        """Whether an attempt at exactly this work is under way, which the next one takes up."""
        return work_of_attempt(self.attempt_folder) == self.fingerprint()

    def check_place(self) -> None:
        """Raises SettingError if what lies where the outputs go is not of an earlier step of this kind: `begin` removes it."""
        earlier = self.earlier_work()
        for folder in map(self.folder, self.outputs):
            if earlier and earlier.get("settings", {}).keys() != self.settings.keys():
                raise SettingError(f"{folder} is another dataset, which this would replace; name another folder")
            if not earlier and storage.list_files(folder):
                raise SettingError(
                    f"{folder} holds files of something else, which this would remove; name an empty or a new folder"
                )

    def begin(self, *, force: bool = False) -> frozenset[str]:
        """Prepares an attempt and returns the names of the shards that are done already.

        Whatever a different attempt left is removed: check before what settings and inputs can get wrong, and see
        `jobs.replaced` for what cost too much to be removed.
        """
        same = not force and self.goes_on()
        begun = _begun.get()
        if begun is not None and not self.passing:
            begun.append(self.name)
        for folder in map(self.folder, self.outputs):  # what a link leads to belongs to somebody else
            linked = not same and is_link(folder)
            storage.remove_tree(folder if linked else join(folder, manifests.MANIFEST))
        if not same:
            storage.remove_tree(self.attempt_folder)
            for output in self.outputs:
                storage.remove_tree(self.folder(output))
            self._mark()
        for trace in (ALIVE, _FAILURE):  # of an attempt that was killed
            storage.remove_tree(join(self.attempt_folder, trace))
        return frozenset(receipt.shard for receipt in receipts(self.attempt_folder))

    def take_over(self) -> None:
        """Makes what the outputs hold, which is finished, the start of an attempt at more of the same, for `begin` to go on with.

        Nothing is removed, and the manifest lies in the attempt first, so a kill at any moment costs nothing.
        """
        finished = manifests.read_manifest(self.folder(self.outputs[0]))
        storage.remove_tree(self.attempt_folder)
        manifests.write_manifest(join(self.attempt_folder, _TAKEN_OVER), finished)
        self._mark()

    def taken_over(self) -> Manifest | None:
        """The manifest of the finished work that the attempt under way goes on from, if there is such."""
        folder = join(self.attempt_folder, _TAKEN_OVER)
        return manifests.read_manifest(folder) if storage.exists(join(folder, manifests.MANIFEST)) else None

    def _mark(self) -> None:
        marked = {"step": self.name, "fingerprint": self.fingerprint(), **self.work()}
        storage.write_json(join(self.attempt_folder, _MARKER), marked)

    def commit(self, shards: Iterable[str], *, counts: Mapping[str, int] | None = None) -> Manifest:
        """Writes the manifests once every shard has its receipt; returns the primary one.

        Raises:
            DataError: a shard has no receipt.
        """
        done = {receipt.shard: receipt for receipt in receipts(self.attempt_folder)}
        missing = sorted(set(shards) - set(done))
        if missing:
            raise DataError(f"step {self.name}: {len(missing)} shards left no receipt, the first is {missing[0]!r}")
        ordered = [done[name] for name in sorted(done)]
        totals = Counter(counts or {})
        for receipt in ordered:
            totals.update(receipt.counts)
        fingerprint, inputs = self.fingerprint(), self.input_contents()
        manifest = None
        for output in reversed(self.outputs):
            manifest = self._manifest_of(output, ordered, dict(sorted(totals.items())), fingerprint, inputs)
            _remove_debris(self.folder(output), manifest, self.outputs, output)
            manifests.write_manifest(self.folder(output), manifest)
        storage.remove_tree(self.attempt_folder)
        assert manifest is not None
        return manifest

    def _manifest_of(
        self,
        output: str,
        ordered: Sequence[Receipt],
        totals: Mapping[str, int],
        fingerprint: str,
        inputs: Mapping[str, str],
    ) -> Manifest:
        folder = self.folder(output)
        entries = [entry.relative_to(folder) for receipt in ordered for entry in receipt.files.get(output, ())]
        manifest = Manifest(
            kind=output,
            fingerprint=fingerprint,
            settings=_plain(self.settings),
            inputs=inputs,
            files=tuple(sorted(entries, key=lambda entry: entry.path)),
            counts=totals,
            versions=dict(self.versions),
        )
        contents = [receipt.contents[output] for receipt in ordered if output in receipt.contents]
        return replace(manifest, content=hash_of(contents)) if contents else manifest


@contextmanager
def noting_begun() -> Iterator[Sequence[str]]:
    """The names of the steps that the block has begun so far in this process, without those that are passing."""
    begun: list[str] = []
    token = _begun.set(begun)
    try:
        yield begun
    finally:
        _begun.reset(token)


def content_of(manifest: Manifest) -> str:
    """What downstream work depends on: the stated content hash, or else the files and their bytes."""
    return manifest.content or hash_of([[entry.path, entry.sha256] for entry in manifest.files])


def work_of_attempt(attempt_folder: str) -> str:
    """The fingerprint of the work that the attempt under way does; empty if there is none."""
    marker = join(attempt_folder, _MARKER)
    return str(storage.read_json(marker)["fingerprint"]) if storage.exists(marker) else ""


def check_attempt(attempt_folder: str, work: str) -> None:
    """Keeps a worker that outlived its driver from writing into what a later command with other settings makes.

    Raises:
        StaleAttemptError: `work` is no longer under way.
    """
    if work_of_attempt(attempt_folder) != work:
        raise StaleAttemptError(f"{attempt_folder}: another attempt has begun, or this one has ended; its workers stop")


def write_receipt(attempt_folder: str, receipt: Receipt) -> None:
    """Commits a shard."""
    storage.write_json(join(attempt_folder, "shards", receipt.shard + ".json"), asdict(receipt))


def read_receipt(attempt_folder: str, shard: str) -> Receipt | None:
    """The receipt of a shard, if it has one."""
    path = join(attempt_folder, "shards", shard + ".json")
    return _receipt(storage.read_json(path)) if storage.exists(path) else None


def drop_receipt(attempt_folder: str, shard: str) -> None:
    """Has a shard done again by the next attempt."""
    storage.remove_tree(join(attempt_folder, "shards", shard + ".json"))


def receipts(attempt_folder: str) -> Iterable[Receipt]:
    """The receipts so far, by name of shard."""
    return new_receipts(attempt_folder, set())


def new_receipts(attempt_folder: str, seen: set[str]) -> Iterable[Receipt]:
    """The receipts whose paths are not in `seen`, by name of shard; adds them to it. For whoever looks again and again."""
    paths = [path for path in storage.list_files(join(attempt_folder, "shards")) if path.endswith(".json")]
    fresh = [path for path in paths if path not in seen]
    for path, content in zip(fresh, storage.read_many(fresh), strict=True):
        seen.add(path)
        try:
            yield _receipt(json.loads(content))
        except ValueError as error:
            raise DataError(f"{path} is damaged: {error}") from None


def note_failure(attempt_folder: str, error: Exception) -> None:
    """Leaves what explains a failure where the driver finds it, on any engine; nothing for a defect of ours."""
    sentence = explained(error)
    if sentence is not None:
        with suppress(Exception):  # the disk or the store may be what failed
            storage.write_json(join(attempt_folder, _FAILURE), {"kind": kind_of(error), "sentence": sentence})


def noted_failure(attempt_folder: str) -> CorpusmillError | None:
    """The failure that a worker noted, if any; it is taken away."""
    path = join(attempt_folder, _FAILURE)
    if not storage.exists(path):
        return None
    noted = storage.read_json(path)
    storage.remove_tree(path)
    return error_of(noted["kind"], noted["sentence"])


def kind_of(error: BaseException) -> str:
    """The name under which `error_of` knows an error that is explained."""
    return next((kind.__name__ for kind in _KINDS if isinstance(error, kind)), CorpusmillError.__name__)


def error_of(kind: str, sentence: str) -> CorpusmillError:
    """An error again, from its name and its sentence: a process or an engine lies between it and its origin."""
    return next((each for each in _KINDS if each.__name__ == kind), CorpusmillError)(sentence)


def explained(error: BaseException) -> str | None:
    """The one sentence for a failure that is not a defect of ours, or None."""
    if isinstance(error, CorpusmillError):
        return str(error)
    if shortage := shortage_of(error):
        return shortage
    if isinstance(error, OSError) and error.errno is not None:
        full = error.errno in _OF_FULL_DISKS
        hint = _room_wanted(str(error.filename or "")) if full else limit_behind(error)
        place = error.filename or (
            f"storage, perhaps temporary files in {tempfile.gettempdir()}" if full else "storage"
        )
        return f"{place}: {error.strerror}{hint}"
    if isinstance(error, _OF_STORES) or type(error).__module__.partition(".")[0] in _STORE_PACKAGES:
        place = error.__notes__[0] if getattr(error, "__notes__", None) else "storage"
        return f"{place}: {' '.join(str(error).split())}"
    return None


def _room_wanted(path: str) -> str:
    """What to do about a full disk: some have space left and take no more files."""
    with suppress(OSError, ValueError):
        disk = os.statvfs(os.path.dirname(path) or ".")
        # what failed has given some files back meanwhile
        if path and disk.f_files and disk.f_favail < _FEW_FILES and disk.f_bavail > _SMALL_SHARE * disk.f_blocks:
            return "; the disk has room for no more files, however small (df -i); remove some and give the same command again"
    return "; free some space and give the same command again"


def full_disk_behind(error: BaseException) -> OSError | None:
    """The failure of a full disk that `error` was raised for, if any: an engine may have made another error of it."""
    while error.__context__ is not None:
        error = error.__context__
        if isinstance(error, OSError) and error.errno in _OF_FULL_DISKS:
            return error
    return None


def _receipt(value: dict[str, Any]) -> Receipt:
    files = {name: tuple(FileEntry(**entry) for entry in entries) for name, entries in value.pop("files").items()}
    return Receipt(files=files, **value)


def _remove_debris(folder: str, manifest: Manifest, outputs: Sequence[str], output: str) -> None:
    """Removes what lies in `folder` and is not of this dataset, nor of an output nested in it."""
    wanted = {entry.path for entry in manifest.files}
    nested = tuple(other[len(output) + 1 :] + "/" for other in outputs if other.startswith(output + "/"))
    for path in storage.list_files(folder):
        relative = path[len(folder.rstrip("/")) + 1 :]
        if relative not in wanted and not relative.startswith(nested or ("\0",)):
            storage.remove_tree(path)


def _plain(value: Any) -> Any:
    """`value` as JSON would give it back: tuples become lists, so that comparisons hold after a round trip."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
