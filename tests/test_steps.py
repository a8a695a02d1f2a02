"""Steps: what is up to date, what a killed attempt leaves, how the next one goes on."""

import contextvars
import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import apache_beam as beam
import pytest

from pipeline import manifests, steps, storage
from pipeline.errors import CorpusmillError, DataError, InputError, SettingError
from pipeline.manifests import Manifest, read_manifest
from pipeline.places import join
from pipeline.stage import Outputs, ProcessShards, shard_elements
from pipeline.steps import Receipt, Shard, Step, content_of, read_receipt, receipts, write_receipt


@pytest.fixture(params=["disk", "memory"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "run") if request.param == "disk" else f"memory://steps-{tmp_path.name}"


def step_of(run: str, **more: object) -> Step:
    return Step(**{"run": run, "name": "work", "outputs": ("made", "rejected/made"), "settings": {"a": (1, 2)}} | more)  # type: ignore[arg-type]


def do(step: Step, shard: str, text: str = "") -> None:
    """The work of one shard: a file in each output, then the receipt."""
    outputs = Outputs(step.run, shard)
    for output in step.outputs:
        with outputs.file(output, ".txt") as file:
            file.write(f"{shard} {output} {text}".encode())
        outputs.add(output, file.entry(num_records=1))
    write_receipt(step.attempt_folder, outputs.receipt({"read": 2, "kept": 1, "rejected": 1}))


def test_a_step_is_current_once_it_is_committed(run: str) -> None:
    step = step_of(run)
    assert not step.is_current()
    assert step.begin() == frozenset()
    for shard in ("b", "a"):
        do(step, shard)
        assert not step.is_current()
    manifest = step.commit(["a", "b"], counts={"extra": 5})
    assert step.is_current()
    assert manifest == read_manifest(join(run, "made"))
    assert [entry.path for entry in manifest.files] == ["a.txt", "b.txt"]
    assert manifest.counts == {"extra": 5, "kept": 2, "read": 4, "rejected": 2}
    assert read_manifest(join(run, "rejected/made")).fingerprint == manifest.fingerprint
    assert storage.list_files(step.attempt_folder) == []


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"a": (1, 3)}},
        {"external": ["x"]},
        {"versions": {"lib": "2"}},
        {"name": "other"},
        {"outputs": ("made",), "settings": {}},
    ],
)
def test_other_work_is_not_current(run: str, change: dict[str, object]) -> None:
    step = step_of(run)
    step.begin()
    step.commit([])
    assert step.is_current()
    assert not step_of(run, **change).is_current()


def test_settings_compare_as_json_gives_them_back(run: str) -> None:
    assert step_of(run, settings={"a": (1, 2)}).fingerprint() == step_of(run, settings={"a": [1, 2]}).fingerprint()


def test_an_attempt_goes_on_after_its_receipts(run: str) -> None:
    step = step_of(run)
    step.begin()
    do(step, "a")
    storage.write_bytes(join(run, "made/half.txt"), b"written by a killed attempt, without a receipt")
    assert step_of(run).begin() == {"a"}
    do(step, "b")
    step.commit(["a", "b"])
    assert [path[len(run) :] for path in storage.list_files(join(run, "made"))] == [
        "/made/a.txt",
        "/made/b.txt",
        "/made/manifest.json",
    ]


def test_another_attempt_starts_over(run: str) -> None:
    step_of(run).begin()
    do(step_of(run), "a", "old")
    other = step_of(run, settings={"a": (9,)})
    assert other.begin() == frozenset()
    assert storage.list_files(join(run, "made")) == []
    assert storage.list_files(join(run, "rejected/made")) == []


def test_force_starts_over(run: str) -> None:
    step = step_of(run)
    step.begin()
    do(step, "a")
    assert step.begin(force=True) == frozenset()
    assert storage.list_files(join(run, "made")) == []


def test_a_dataset_is_incomplete_while_it_is_made_again(run: str) -> None:
    step = step_of(run)
    step.begin()
    do(step, "a")
    step.commit(["a"])
    step.begin(force=True)
    with pytest.raises(InputError, match="is not a complete dataset"):
        read_manifest(join(run, "made"))


def test_a_commit_needs_every_receipt(run: str) -> None:
    step = step_of(run)
    step.begin()
    do(step, "a")
    with pytest.raises(DataError, match="step work: 2 shards left no receipt, the first is 'b'"):
        step.commit(["a", "b", "c"])
    assert not storage.exists(join(run, "made/manifest.json"))


def test_inputs_count_by_their_content(run: str) -> None:
    folder = join(run, "input")
    manifests.write_manifest(folder, Manifest(kind="input", fingerprint="x", content="same"))
    step = step_of(run, inputs={"input": folder})
    first = step.fingerprint()
    manifests.write_manifest(folder, Manifest(kind="input", fingerprint="other work", counts={"n": 1}, content="same"))
    assert step.fingerprint() == first
    manifests.write_manifest(folder, Manifest(kind="input", fingerprint="x", content="changed"))
    assert step.fingerprint() != first
    with pytest.raises(InputError, match="is not a complete dataset"):
        step_of(run, inputs={"input": join(run, "nothing")}).fingerprint()


def test_contents_of_receipts_make_the_content_of_the_manifest(run: str) -> None:
    contents = []
    for order in (("a", "b"), ("b", "a")):
        step = step_of(run, outputs=("made",))
        step.begin(force=True)
        for shard in order:
            write_receipt(step.attempt_folder, Receipt(shard=shard, contents={"made": shard * 3}))
        contents.append(content_of(step.commit(["a", "b"])))
    assert contents[0] == contents[1] == manifests.hash_of(["aaa", "bbb"])


def test_outputs_inside_outputs_survive(run: str) -> None:
    step = step_of(run, outputs=("made", "made/inner"))
    step.begin()
    do(step, "a")
    step.commit(["a"])
    assert not list(manifests.damaged_files(join(run, "made")))
    assert not list(manifests.damaged_files(join(run, "made/inner")))


def test_receipts_are_read_in_order_and_one_by_one(run: str) -> None:
    for name in ("b", "a", "c"):
        write_receipt(join(run, "attempts/x"), Receipt(shard=name, counts={"read": 1}))
    assert [receipt.shard for receipt in receipts(join(run, "attempts/x"))] == ["a", "b", "c"]
    assert read_receipt(join(run, "attempts/x"), "a") == Receipt(shard="a", counts={"read": 1})
    assert read_receipt(join(run, "attempts/x"), "d") is None


def test_receipts_can_be_followed_without_reading_any_twice(run: str) -> None:
    folder, seen = join(run, "attempts/x"), set[str]()
    write_receipt(folder, Receipt(shard="b"))
    assert [receipt.shard for receipt in steps.new_receipts(folder, seen)] == ["b"]
    for number in range(300):
        write_receipt(folder, Receipt(shard=f"a{number:03d}"))
    assert [receipt.shard for receipt in steps.new_receipts(folder, seen)] == [
        f"a{number:03d}" for number in range(300)
    ]
    assert list(steps.new_receipts(folder, seen)) == []


def test_a_damaged_receipt_is_named(run: str) -> None:
    storage.write_bytes(join(run, "attempts/x/shards/a.json"), b"{")
    with pytest.raises(DataError, match=r"a\.json is damaged"):
        list(receipts(join(run, "attempts/x")))


@pytest.mark.parametrize("kind", [SettingError, InputError, DataError, CorpusmillError])
def test_a_noted_failure_is_taken_once_and_is_what_it_was(run: str, kind: type[CorpusmillError]) -> None:
    assert steps.noted_failure(run) is None
    steps.note_failure(run, kind("one sentence"))
    noted = steps.noted_failure(run)
    assert type(noted) is kind
    assert str(noted) == "one sentence"
    assert steps.noted_failure(run) is None


def test_a_defect_is_not_noted(run: str) -> None:
    steps.note_failure(run, ZeroDivisionError("a defect"))
    assert steps.noted_failure(run) is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InputError("as it is"), "as it is"),
        (
            OSError(28, "No space left on device", "/x"),
            "/x: No space left on device; free some space and give the same command again",
        ),
        (OSError(5, "Input/output error"), "storage: Input/output error"),
        (PermissionError("Access Denied"), "storage: Access Denied"),
        (OSError("without a number"), None),
        (
            OSError(24, "Too many open files", "/x"),
            "/x: Too many open files; the limit on open files is too low (ulimit -n)",
        ),
        (
            OSError(27, "File too large", "/x"),
            "/x: File too large; there is a limit on the size of files (ulimit -f, or one of the disk)",
        ),
        (BlockingIOError(11, "would block", "/pipe"), "/pipe: would block"),
        (RuntimeError("a defect of ours"), None),
        (ValueError("a defect of ours"), None),
    ],
)
def test_failures_are_explained_in_a_sentence(error: Exception, sentence: str | None) -> None:
    assert steps.explained(error) == sentence


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (MemoryError(), "there is not memory enough; fewer --workers"),
        (
            MemoryError("Unable to allocate\n3 GiB"),
            "there is not memory enough (Unable to allocate 3 GiB); fewer --workers",
        ),
        (BlockingIOError(11, "Resource temporarily unavailable"), "no more processes or threads"),  # of a fork
        (RuntimeError("can't start new thread [while running 'IndexShards']"), "no more processes or threads"),
    ],
)
def test_what_the_system_does_not_give_is_no_defect(error: Exception, part: str) -> None:
    assert part in str(steps.explained(error))


@pytest.mark.parametrize(
    ("files", "files_left", "blocks_left", "part"),
    [
        (9000, 1, 500, "room for no more files"),
        (9000, 800, 0, "free some space"),
        (9000, 1, 0, "free some space"),
        (0, 0, 500, "free some space"),  # it sets no bound
    ],
)
def test_a_disk_that_takes_no_more_files_is_not_said_to_want_space(
    monkeypatch: pytest.MonkeyPatch, files: int, files_left: int, blocks_left: int, part: str
) -> None:
    disk = SimpleNamespace(f_files=files, f_favail=files_left, f_blocks=1000, f_bavail=blocks_left)
    monkeypatch.setattr("os.statvfs", lambda path: disk)
    assert part in str(steps.explained(OSError(28, "No space left on device", "/full/x")))


PROGRAM = textwrap.dedent(
    """
    import sys
    from pipeline.steps import Receipt, Step, write_receipt
    from pipeline.atomic import AtomicFile
    from pipeline.places import join

    step = Step(run=sys.argv[1], name="work", outputs=("made", "rejected/made"))
    names = [f"part-{number:03d}" for number in range(40)]
    done = step.begin()
    for name in names:
        print(name in done, flush=True)
        if name not in done:
            files = {}
            for output in step.outputs:
                with AtomicFile(join(step.folder(output), name + ".bin")) as file:
                    for _ in range(20):
                        file.write(name.encode() * 500)
                files[output] = (file.entry(num_records=1),)
            write_receipt(step.attempt_folder, Receipt(shard=name, files=files, counts={"read": 1}))
    step.commit(names)
    """
)


def start(run: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, run]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])


def files_below(folder: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()
    }


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_kills_at_any_moment_change_nothing_in_the_end(tmp_path: Path) -> None:
    undisturbed, killed = str(tmp_path / "undisturbed"), str(tmp_path / "killed")
    start(undisturbed).communicate()
    chance, done_before = random.Random(0), []
    for attempt in range(5):
        process = start(killed)
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(7 * attempt + chance.randrange(1, 8))]
        process.kill()  # somewhere between the files, the receipt and the next line
        process.communicate()
        done_before.append(lines.count("True"))
        assert not step_of(killed, settings={}).is_current()
    assert done_before == sorted(done_before)
    assert done_before[-1] >= 10
    start(killed).communicate()
    assert step_of(killed, settings={}).is_current()
    assert files_below(killed) == files_below(undisturbed)


# --- workers that outlive their driver ----------------------------------------------------------------------


class WhileOthersCome:
    """Work during which another command, with other settings, begins the step anew."""

    def __init__(self, later: Step) -> None:
        self.later = later

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: Outputs) -> Mapping[str, int]:
        with outputs.file("made", ".txt") as file:
            file.write(b"of old settings")
            if shard.work == "late":
                contextvars.Context().run(self.begin_later, shard.name)
        outputs.add("made", file.entry(num_records=1))
        return {"read": 1}

    def begin_later(self, shard: str) -> None:
        self.later.begin()
        do(self.later, shard, "of new settings")


@pytest.mark.parametrize("moment", ["late", "early"])
def test_a_worker_whose_attempt_was_replaced_writes_nothing_any_more(tmp_path: Path, moment: str) -> None:
    """Killed drivers leave workers on clusters behind: not a byte of theirs may reach what is made by other settings."""
    run = str(tmp_path / "run")
    old, new = step_of(run), step_of(run, settings={"a": (7,)})
    old.begin()
    pipeline = beam.Pipeline("apache_beam.runners.portability.fn_api_runner.FnApiRunner")
    elements = pipeline | beam.Create(shard_elements([Shard(name="a", work=moment)]))
    elements | ProcessShards(old, WhileOthersCome(new))
    if moment == "early":
        new.begin()
    with pytest.raises(Exception, match="another attempt has begun"):
        pipeline.run()
    if moment == "early":
        do(new, "a", "of new settings")
    assert steps.noted_failure(new.attempt_folder) is None
    new.commit(["a"])
    assert (tmp_path / "run/made/a.txt").read_text() == "a made of new settings"
    assert list(manifests.damaged_files(join(run, "made"))) == []
    assert not [path for path in storage.list_files(run) if path.endswith(".tmp")]


@pytest.mark.parametrize("force", [False, True])
def test_a_dataset_that_is_linked_to_stays_as_it_is(force: bool, tmp_path: Path) -> None:
    """The run that shares its pages by a link loses nothing when the other one makes pages of its own."""
    one, other = (
        step_of(str(tmp_path / "one")),
        step_of(str(tmp_path / "other"), settings={"a": 1 if not force else (1, 2)}),
    )
    one.begin()
    do(one, "a")
    one.commit(["a"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other/made").symlink_to(tmp_path / "one/made")
    other.begin(force=force)
    do(other, "b")
    other.commit(["b"])
    assert one.is_current()
    assert list(manifests.damaged_files(one.folder("made"))) == []
    assert not (tmp_path / "other/made").is_symlink()
    assert other.is_current()
