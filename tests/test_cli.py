"""What people see when something is wrong: one clear sentence, the right exit code, no traceback, and nothing half-written.

Exit codes: 1 failed, 2 wrong usage or setting, 130 interrupted.
"""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apache_beam as beam
import pytest

from jobs import cli
from jobs.engine import Engine, run_pipeline
from jobs.lock import held
from pipeline import manifests
from tests import corpora
from tests.commands import Commands, Ended
from tests.runs import Made, assert_same, contents

pytestmark = pytest.mark.xdist_group("runs")
ROOT = Path(__file__).parents[1]


def assert_one_sentence(ended: Ended, code: int, *parts: str) -> None:
    """The command failed as it should, and said so in one line that names what is wrong."""
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err, ended.err
    assert len(ended.sentences) == 1, ended.err
    assert ended.err.strip().splitlines()[-1] == ended.sentences[0], ended.err
    for part in parts:
        assert part in ended.sentences[0]


def python_m_jobs(*arguments: object, folder: Path) -> Ended:
    """`python -m jobs ARGUMENTS` itself."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "jobs", *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Settings of a run over some files, in a folder of their own."""

    def make(*records: dict[str, object], more: str = "") -> Path:
        folder = tmp_path_factory.mktemp("mistake")
        (folder / "in").mkdir()
        if records:
            corpora.write_jsonl(folder / "in/pages.jsonl", records)
        return corpora.write_settings(folder / "settings.toml", run=folder / "run", inputs=folder / "in", more=more)

    return make


# --- usage and settings ---------------------------------------------------------------------------------


def test_python_m_jobs_fails_as_the_command_does(tmp_path: Path) -> None:
    ended = python_m_jobs("run", "none.toml", folder=tmp_path)
    assert_one_sentence(ended, 1, "no such settings file: none.toml")


def test_python_m_jobs_explains_itself(tmp_path: Path) -> None:
    ended = python_m_jobs("--help", folder=tmp_path)
    assert ended.code == 0
    assert all(
        job in ended.out
        for job in ("run", "crawl", "ingest", "curate", "pack", "train", "verify", "explain", "extract", "dedup")
    )


def test_settings_that_are_no_toml(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[pack\n")
    assert_one_sentence(python_m_jobs("run", "bad.toml", folder=tmp_path), 2, "bad.toml is not valid TOML", "line 1")


@pytest.mark.parametrize("more", ["[packing]\nx = 1\n", "\n[extract.language]\nmin_scor = 1\n"], ids=["table", "key"])
def test_an_unknown_setting(settings: Callable[..., Path], commands: Commands, more: str) -> None:
    assert_one_sentence(commands.run("run", settings(more=more)), 2, "unknown setting", "did you mean")


def test_a_setting_of_the_wrong_type(settings: Callable[..., Path], commands: Commands) -> None:
    ended = commands.run("run", settings(), "--set", "pack.sequence_length=long")
    assert_one_sentence(ended, 2, "pack.sequence_length is 'long'; expected a whole number")


def test_a_contradiction(settings: Callable[..., Path], commands: Commands) -> None:
    ended = commands.run("run", settings(), "--set", "dedup.survivor=best_measure")
    assert_one_sentence(ended, 2, "dedup.survivor_measure", "best_measure")


def test_settings_that_contradict_in_the_middle_of_a_run(copy: Callable[[], Made], commands: Commands) -> None:
    mine = copy()
    ended = commands.run("train", mine.settings, "--set", "train.batch_tokens=100")
    assert_one_sentence(ended, 2, "train.batch_tokens", "100", "64")


@pytest.mark.parametrize(("arguments", "part"), [
    (["--workers", "0"], "--workers is 0; allowed is 1 or more"),
    (["--", "--no_such_flag=1"], "unknown Beam option '--no_such_flag=1'"),
])  # fmt: skip
def test_wrong_options_of_the_engine(
    settings: Callable[..., Path], commands: Commands, arguments: list[str], part: str
) -> None:
    assert_one_sentence(commands.run("ingest", settings(), *arguments), 2, part)


@pytest.mark.parametrize("arguments", [["train", "x.toml"], ["verify", "runs/x"], ["filter", "in.jsonl", "out.jsonl"]])
def test_only_what_starts_a_pipeline_takes_options_of_beam(commands: Commands, arguments: list[str]) -> None:
    ended = commands.run(*arguments, "--", "--runner=FlinkRunner")
    assert_one_sentence(ended, 2, arguments[0], "starts no Beam pipeline", "--runner=FlinkRunner")


@pytest.mark.parametrize(
    "arguments", [[], ["no-such-job"], ["run"], ["run", "a.toml", "--no-such-option"], ["explain", "runs/x"]]
)
def test_wrong_usage(commands: Commands, arguments: list[str]) -> None:
    ended = commands.run(*arguments)
    assert ended.code == 2
    assert "usage: corpusmill" in ended.err
    assert "Traceback" not in ended.err


def test_a_misspelt_job(commands: Commands) -> None:
    ended = commands.run("curat", "x.toml")
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == (
        "corpusmill: error: argument JOB: there is no 'curat' (did you mean 'curate'?); corpusmill --help names all"
    )


def test_a_run_without_a_way_in(tmp_path: Path, commands: Commands) -> None:
    (tmp_path / "empty.toml").write_text(f'[run]\nfolder = "{tmp_path}/run"\n')
    assert_one_sentence(
        commands.run("run", tmp_path / "empty.toml"), 2, "there are no pages to begin with", "ingest.inputs"
    )


# --- inputs ---------------------------------------------------------------------------------------------


def test_a_missing_input(settings: Callable[..., Path], commands: Commands) -> None:
    path = settings()
    shutil.rmtree(path.parent / "in")
    assert_one_sentence(commands.run("run", path), 1, str(path.parent / "in"))


def test_an_input_folder_without_inputs(settings: Callable[..., Path], commands: Commands) -> None:
    path = settings()
    assert_one_sentence(commands.run("run", path), 1, str(path.parent / "in"))


def test_a_folder_in_place_of_a_file(settings: Callable[..., Path], commands: Commands) -> None:
    assert_one_sentence(commands.run("filter", settings().parent, "out.jsonl"), 1, "Is a directory")


def test_a_missing_file_of_a_filter(tmp_path: Path, commands: Commands) -> None:
    assert_one_sentence(
        commands.run("filter", tmp_path / "none.jsonl", tmp_path / "out.jsonl"), 1, "no such file", "none.jsonl"
    )
    assert not list(tmp_path.iterdir())


def test_records_that_no_filter_can_take(tmp_path: Path, commands: Commands) -> None:
    """One bad line does not end the work on a million good ones: it goes to the refused records, with its reason."""
    lines = [b'{"text": "fine"}', b'{"text": ', b'{"text": "caf\xe9"}', b"[1]", b'{"id": "x"}', b'{"text": 7}']
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    ended = commands.run("langid", tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert ended.code == 0, ended.err
    assert "6 read, 1 kept, 5 rejected (3 unreadable.not_an_object, 2 unreadable.no_text)" in ended.err
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1
    refused = [json.loads(line) for line in (tmp_path / "out.rejected.jsonl").read_text().splitlines()]
    assert [each["detail"] for each in refused] == [
        "the record at line 2 is not a JSON object: Expecting value at column 10",
        "the record at line 3 is not a JSON object: byte 0xe9 at column 14 is not UTF-8",
        "the record at line 4 is not a JSON object: the line holds a list, not an object",
        "the record at line 5 has no `text`; it has id",
        "the record at line 6 has the `text` 7, which is no text in quotes",
    ]
    assert refused[1]["line"] == '{"text": "caf\\xe9"}'
    assert refused[3]["id"] == "x"


@pytest.mark.parametrize(("job", "content", "part"), [
    ("langid", b'{"content": "x"}\n{"content": "y"}\n', "the record at line 1 has no `text`; it has content"),
    ("extract", b'{"body": "x"}\n', "the record at line 1 has neither `html` nor `text`; it has body"),
    ("filter", bytes(range(128, 200)), "the record at line 1 is not a JSON object"),
])  # fmt: skip
def test_a_file_of_other_records(job: str, content: bytes, part: str, tmp_path: Path, commands: Commands) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    ended = commands.run(job, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert_one_sentence(ended, 1, "in.jsonl", part, "so it is with every record")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_an_output_that_is_a_folder(tmp_path: Path, commands: Commands) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "fine"}\n')
    (tmp_path / "out.jsonl").mkdir()
    ended = commands.run("langid", tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert_one_sentence(ended, 1, f"{tmp_path}/out.jsonl: Is a directory")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


@pytest.mark.parametrize("job", ["mask", "dedup"])
def test_a_filter_does_not_write_over_its_input(job: str, tmp_path: Path, commands: Commands) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "fine"}\n')
    ended = commands.run(job, tmp_path / "in.jsonl", tmp_path / "in.jsonl")
    assert_one_sentence(ended, 1, "must be different files")
    assert (tmp_path / "in.jsonl").read_text() == '{"text": "fine"}\n'


@pytest.mark.parametrize("job", ["tokenize", "pack"])
@pytest.mark.parametrize("out", ["in.jsonl", "tokenizer.json"])
def test_a_filter_with_a_tokenizer_does_not_write_over_what_it_reads(
    job: str, out: str, tmp_path: Path, commands: Commands
) -> None:
    for name in ("in.jsonl", "tokenizer.json"):
        (tmp_path / name).write_text('{"text": "fine"}\n')
    ended = commands.run(job, tmp_path / "in.jsonl", tmp_path / out, "--tokenizer", tmp_path / "tokenizer.json")
    assert_one_sentence(ended, 1, "must be different files")
    assert (tmp_path / out).read_text() == '{"text": "fine"}\n'


def test_filters_in_a_pipe_write_over_no_file_of_refused_records(tmp_path: Path) -> None:
    commands = Commands(tmp_path)
    (tmp_path / "rejected.jsonl").write_text("mine")
    for job in ("langid", "mask"):  # langid refuses nothing, mask neither: their files go, and no other
        assert commands.run(job, "-", "-", stdin='{"text": "fine"}\n').code == 0
    refused = commands.run("filter", "-", "-", stdin='{"text": "too short"}\n')
    assert "→ filter.rejected.jsonl" in refused.err
    assert (tmp_path / "rejected.jsonl").read_text() == "mine"
    assert [path.name for path in tmp_path.glob("*.rejected.jsonl")] == ["filter.rejected.jsonl"]


def test_a_link_to_an_output_is_followed(tmp_path: Path, commands: Commands) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "fine"}\n')
    (tmp_path / "far").mkdir()
    (tmp_path / "out.jsonl").symlink_to(tmp_path / "far/out.jsonl")
    assert commands.run("langid", tmp_path / "in.jsonl", tmp_path / "out.jsonl").code == 0
    assert (tmp_path / "out.jsonl").is_symlink()
    assert (tmp_path / "far/out.jsonl").is_file()


# Where standard output goes, the exit code, and what is said: never a traceback.
_OUTPUTS = [
    (">/dev/full", 1, "No space left on device"),
    ("| true", 1, ""),  # nobody reads
    (">&-", 0, ""),  # closed
]


@pytest.mark.parametrize(("output", "code", "part"), _OUTPUTS)
def test_an_output_that_takes_nothing(output: str, code: int, part: str) -> None:
    command = f"set -o pipefail; {sys.executable} -m jobs dedup-curve {output}"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=100, env=environment)
    assert ended.returncode == code, ended.stderr
    assert part in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


def test_a_closed_standard_error_fails_nothing() -> None:
    command = f"{sys.executable} -m jobs langid - - 2>&-"
    ended = subprocess.run(
        ["bash", "-c", command], input='{"text": "fine"}\n', capture_output=True, text=True, timeout=100
    )
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["text"] == "fine"


def test_an_interruption_within_a_record_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beam makes errors of its own of those that records raise, and of one without words another kind."""
    monkeypatch.setattr(cli, "_end_now", lambda: None)  # it would end the tests
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(KeyboardInterrupt):
            run_pipeline(
                lambda pipeline: pipeline | beam.Create([1]) | "Interrupt" >> beam.Map(cli._interrupted), Engine()
            )
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("name", ["pages.jsonl.gz", "pages.warc.gz", "pages.parquet"])
def test_broken_files(settings: Callable[..., Path], commands: Commands, name: str) -> None:
    """A truncated gzip, a damaged archive, a corrupted table: the sentence names file and remedy, which then works."""
    path = settings({"url": "https://example.org/", "text": corpora.good_texts(1)[0]})
    broken = path.parent / "in" / name
    broken.write_bytes(_broken(name))
    ended = commands.run("ingest", path)
    assert_one_sentence(ended, 1, str(broken), "ingest.max_unreadable_files = 1")
    assert not (path.parent / "run/pages/manifest.json").exists()
    ended = commands.run("ingest", path, "--set", "ingest.max_unreadable_files=1")
    assert ended.code == 0, ended.err
    assert manifests.read_manifest(str(path.parent / "run/pages")).counts["broken_files"] == 1


def _broken(name: str) -> bytes:
    texts = corpora.good_texts(20)
    if name.endswith(".jsonl.gz"):
        return gzip.compress("".join(json.dumps({"text": text}) + "\n" for text in texts).encode())[:-600]
    if name.endswith(".warc.gz"):
        bodies = [f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>{text}</p>".encode() for text in texts]
        head = "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.org/{}\r\nContent-Type: application/http\r\nContent-Length: {}\r\n\r\n"
        records = [
            gzip.compress(head.format(number, len(body)).encode() + body + b"\r\n\r\n", mtime=0)
            for number, body in enumerate(bodies)
        ]
        whole = bytearray(b"".join(records))
        middle = len(whole) // 2
        whole[middle : middle + 300] = bytes(300)
        return bytes(whole)
    return b"PAR1" + bytes(2000) + b"PAR1"


# --- runs -----------------------------------------------------------------------------------------------


def test_jobs_out_of_order(settings: Callable[..., Path], commands: Commands) -> None:
    path = settings({"text": "x"})
    for job, needed, remedy in (
        ("curate", "run/pages", "corpusmill crawl or ingest makes it"),
        ("count", "run/documents", "corpusmill curate makes it"),
        ("pack", "run/documents", "corpusmill curate makes it"),
        ("train", "run/shards", "corpusmill pack makes it"),
        ("evaluate", "run/model", "corpusmill train makes it"),
    ):
        assert_one_sentence(commands.run(job, path), 1, needed, "is not a complete dataset", remedy)


def test_a_folder_that_is_no_run(tmp_path: Path, commands: Commands) -> None:
    assert_one_sentence(python_m_jobs("verify", tmp_path, folder=tmp_path), 1, "holds no complete dataset")
    assert_one_sentence(commands.run("explain", tmp_path, "https://example.org/"), 1, "no run", str(tmp_path))
    for job in ("report", "curate"):
        assert_one_sentence(
            commands.run(job, tmp_path), 1, "neither a settings file nor the folder of a run", str(tmp_path)
        )
        assert_one_sentence(commands.run(job, tmp_path / "none"), 1, "neither a settings file nor the folder of a run")
    assert_one_sentence(commands.run("generate", tmp_path, "--prompt", "x"), 1, str(tmp_path))


@pytest.mark.parametrize("page", ["https://example.org/never-seen", "0" * 32, "neither", "no\udcfftext"])
def test_an_unknown_page(made: Made, commands: Commands, page: str) -> None:
    shown = page.replace("\udcff", "?")
    assert_one_sentence(commands.run("explain", made.run, page), 1, "has seen no page", shown)


def test_a_run_that_another_process_works_in(copy: Callable[[], Made], commands: Commands) -> None:
    import fcntl

    mine = copy()
    with open(mine.run / ".lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = (mine.run / "run.toml").read_bytes()
        ended = commands.run("pack", mine.settings, "--set", "pack.sequence_length=32")
        assert_one_sentence(ended, 1, "another process is working in", str(mine.run))
        assert (mine.run / "run.toml").read_bytes() == before, "the settings of the run at work were overwritten"


# The dataset, what is done to its largest file or to it, and what `verify` says.
_DAMAGES = [
    ("documents", "missing", "parquet is missing"),
    ("documents", "garbled", "parquet has changed"),
    ("rejected/dedup", "missing", "parquet is missing"),
    ("counts", "garbled", "arrow has changed"),
    ("documents", "miscounted", "the manifest of"),
    ("documents", "no manifest", "holds files, but its manifest.json is missing"),
    ("documents", "linked", "parquet has changed"),  # what lies on another disk is looked at, too
]


@pytest.mark.parametrize(("dataset", "damage", "part"), _DAMAGES)
def test_verify_says_what_is_wrong_with_a_dataset(
    dataset: str, damage: str, part: str, copy: Callable[[], Made], commands: Commands
) -> None:
    mine = copy()
    folder = mine.run / dataset
    victim = max(folder.glob("part-*"), key=lambda path: path.stat().st_size)
    manifest = folder / "manifest.json"
    if damage == "missing":
        victim.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "miscounted":
        value = json.loads(manifest.read_text())
        value["counts"]["kept"] += 1
        manifest.write_text(json.dumps(value))
    else:
        content = bytearray(victim.read_bytes())
        content[100] ^= 1  # in an id
        victim.write_bytes(content)
    if damage == "linked":
        folder.rename(mine.run.parent / "elsewhere")
        folder.symlink_to(mine.run.parent / "elsewhere")
    ended = commands.run("verify", mine.run)
    assert ended.code == 1, ended.err
    assert len(ended.sentences) == 1
    assert "does not verify" in ended.sentences[0]
    assert part in ended.sentences[0]


def test_pages_that_changed_since_they_were_indexed_are_no_small_corpus(tmp_path: Path, commands: Commands) -> None:
    inputs = corpora.write_inputs(tmp_path / "inputs", corpora.records(12), files=1)
    settings = corpora.write_settings(tmp_path / "my.toml", run=tmp_path / "run", inputs=inputs)
    assert commands.run("ingest", settings).code == 0
    (file,) = inputs.iterdir()
    first, *others = file.read_text().splitlines(keepends=True)
    file.write_text("".join([first.replace("a", "ab"), *others]))  # all that follows lies elsewhere now
    ended = commands.run("curate", settings)
    assert_one_sentence(ended, 1, "are no longer in their files as they were", "corpusmill ingest")
    assert not (tmp_path / "run/documents").exists()
    for job in ("ingest", "curate"):
        ended = commands.run(job, settings)
        assert ended.code == 0, ended.err


@pytest.mark.parametrize("job", ["export", "merge-counts"])
def test_two_do_not_write_into_one_folder(
    job: str, copy: Callable[[], Made], commands: Commands, tmp_path: Path
) -> None:
    mine = copy()
    given = [mine.run] if job == "export" else [tmp_path / "sum", mine.run / "counts"]
    with held(str(given[0])):
        assert_one_sentence(commands.run(job, *given), 1, "another process is working in")
    ended = commands.run(job, *given)
    assert ended.code == 0, ended.err


def test_a_terminal_that_knows_no_such_sign(copy: Callable[[], Made]) -> None:
    command = [sys.executable, "-m", "jobs", "replay", str(copy().run), "--set", "filter.gopher_quality.min_words=140"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "COLUMNS": "20"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert "\\u2192" in ended.stdout


def test_counts_that_changed_make_no_tokenizer(copy: Callable[[], Made], commands: Commands) -> None:
    mine = copy()
    victim = max((mine.run / "counts").glob("*.arrow"), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    ended = commands.run("train-tokenizer", mine.run, "--set", "tokenizer.vocab_size=500")
    assert_one_sentence(ended, 1, f"{victim} has changed")


def test_a_page_index_that_was_emptied_is_named(copy: Callable[[], Made], commands: Commands) -> None:
    mine = copy()
    victim = sorted((mine.run / "pages").glob("part-*.parquet"))[0]
    victim.write_bytes(b"")
    ended = commands.run("curate", mine.run, "--force")
    assert_one_sentence(ended, 1, str(victim), "not readable as Parquet")


def test_replay_compares_with_what_the_run_was_made_by(copy: Callable[[], Made], commands: Commands) -> None:
    """Not with settings that have been edited since: those are what is asked about."""
    mine = copy()
    mine.settings.write_text(mine.settings.read_text() + "\n[filter.gopher_quality]\nmin_words = 140\n")
    given = commands.run("replay", mine.settings)
    asked = commands.run("replay", mine.run, "--set", "filter.gopher_quality.min_words=140")
    assert given.code == asked.code == 0
    assert given.out == asked.out
    assert "(0 gained, 0 lost)" not in given.out


@pytest.mark.parametrize("damage", ["changed", "missing", "manifest"])
def test_verify_finds_damage(copy: Callable[[], Made], commands: Commands, damage: str) -> None:
    mine = copy()
    victim = next((mine.run / "shards/train").glob("*.arrow"))
    if damage == "changed":
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
    elif damage == "missing":
        victim.unlink()
    else:
        victim = mine.run / "documents/manifest.json"
        victim.write_text(victim.read_text()[:-40])
    assert_one_sentence(commands.run("verify", mine.run), 1, victim.name)


def test_a_corrupted_dataset_is_named(copy: Callable[[], Made], commands: Commands) -> None:
    mine = copy()
    victim = sorted((mine.run / "filtered").glob("*.parquet"))[0]
    victim.write_bytes(victim.read_bytes()[:-100])
    ended = commands.run("curate", mine.settings, "--set", "dedup.threshold=0.9")
    assert_one_sentence(ended, 1, str(victim), "not readable as Parquet")


# --- Ctrl-C ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "number"), [("curate", signal.SIGINT), ("curate", signal.SIGTERM), ("train", signal.SIGINT)]
)
def test_ctrl_c(copy: Callable[[], Made], commands: Commands, job: str, number: int) -> None:
    """In a Beam pipeline and in training: exit 130 soon, nothing taken for a result, and the same command completes.

    Ctrl-C reaches the whole group; what ends pods and batch jobs sends SIGTERM to the command alone.
    """
    mine = copy()
    datasets = {"curate": ("filtered", "measures", "rejected/filter"), "train": ("model",)}[job]
    wanted = contents(mine.run, datasets)
    for dataset in datasets:
        shutil.rmtree(mine.run / dataset)
    step = {"curate": "filter", "train": "model"}[job]
    running = commands.start(job, mine.settings)
    assert running.wait_for((mine.run / f"attempts/{step}/attempt.json").exists), running.ended().err
    if number == signal.SIGINT:
        running.interrupt()
    else:
        running.send(number)
    ended = running.ended(20)
    assert_one_sentence(ended, 130, "interrupted; the same command goes on from here")
    assert not (mine.run / datasets[0] / "manifest.json").exists()
    ended = commands.run(job, mine.settings)
    assert ended.code == 0, ended.err
    assert_same(contents(mine.run, datasets), wanted)


def test_ctrl_c_ends_worker_processes(copy: Callable[[], Made], commands: Commands) -> None:
    mine = copy()
    shutil.rmtree(mine.run / "filtered")
    running = commands.start("curate", mine.settings, "--workers", "2")
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    if not children.exists():
        running.kill()
        pytest.skip("the processes of a process are not listed here")
    assert running.wait_for(lambda: children.read_text().strip() != ""), running.ended().err
    apart = int(children.read_text().split()[0])
    started = Path(f"/proc/{apart}/task").glob
    assert running.wait_for(lambda: any(task.read_text().strip() for task in started("*/children"))), (
        running.ended().err
    )
    running.interrupt()
    assert_one_sentence(running.ended(20), 130, "interrupted")
    limit = time.monotonic() + 60  # a kill takes effect a moment after it was sent
    while living(apart) and time.monotonic() < limit:
        pass
    assert not living(apart)


def living(group: int) -> list[str]:
    """The processes of a group that are not dead, whether or not somebody has taken note of their death."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, process_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == group and state not in "ZX":
                found.append(path.parent.name)
    return found


# --- a full disk ----------------------------------------------------------------------------------------


def test_a_full_disk(copy: Callable[[], Made], commands: Commands) -> None:
    """No file may grow beyond a limit, as on a full disk every write beyond it fails (EFBIG in place of ENOSPC)."""
    mine = copy()
    datasets = ("documents", "duplicates", "rejected/dedup")
    wanted = contents(mine.run, datasets)
    largest = max(path.stat().st_size for path in (mine.run / "documents").glob("*.parquet"))
    for dataset in datasets:
        shutil.rmtree(mine.run / dataset)
    ended = commands.run("curate", mine.settings, max_file_bytes=largest - 1)
    assert_one_sentence(ended, 1, "File too large", str(mine.run))
    left = [path.name for dataset in datasets for path in (mine.run / dataset).rglob("*")]
    assert not [name for name in left if name.endswith((".tmp", "manifest.json"))]
    ended = commands.run("curate", mine.settings)
    assert ended.code == 0, ended.err
    assert_same(contents(mine.run, datasets), wanted)


def test_a_full_disk_of_its_own(made: Made, commands: Commands, tmp_path: Path) -> None:
    """The real thing, where this user may mount one: ENOSPC, then space, then the same bytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("only who may mount a small file system can fill one; test_a_full_disk limits files instead")
    try:
        path = corpora.write_settings(tmp_path / "settings.toml", run=disk / "run", inputs=made.inputs)
        assert commands.run("ingest", path).code == 0
        assert_one_sentence(commands.run("curate", path), 1, "No space left on device", "free some space")
        assert not (disk / "run/documents/manifest.json").exists()
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        ended = commands.run("curate", path)
        assert ended.code == 0, ended.err
        datasets = ("filtered", "documents", "rejected/filter", "rejected/dedup")
        assert_same(contents(disk / "run", datasets), contents(made.run, datasets))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
