"""Wrong settings are refused before anything is deleted, and leave no trace; a whole run says them all at its start."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from jobs.config import RunConfig, RunSettings
from jobs.lock import opened
from pipeline.errors import SettingError
from tests.commands import Commands
from tests.runs import Made, assert_same, contents

ENCODER = "model.causal is false"
BAD = "bad.json"
PASSING = ("encoded/",)  # lives between the two passes of a job
# The job, what is set, and what the sentence says; `{folder}` holds a broken tokenizer and no other file.
REFUSED = [
    ("train", ["train.batch_tokens=100"], 2, "train.batch_tokens is 100"),
    ("train", ["train.processes=3"], 2, "times the number of processes, 3"),
    ("train", ["model.causal=false"], 2, ENCODER),
    ("train", ["train.start_from={folder}/none"], 1, "none/config.json"),
    ("train", ["train.start_from={run}/model/hf"], 2, "of the model that training in"),
    ("train", ["train.start_from={run}/../run/model/hf"], 2, "of the model that training in"),
    ("train", ["train.source_weights={{nobody=1.0}}"], 2, "nobody"),
    ("train", ["train.source_weights={{web=nan}}"], 2, "train.source_weights.web is nan"),
    ("train", ["train.source_weights={{web=0}}"], 2, "train.source_weights are all 0"),
    ("train", ["model.norm_epsilon=inf"], 2, "model.norm_epsilon is inf"),
    ("train", ["train.attention_path=apart", "model.positions=relative"], 2, "train.attention_path is 'apart'"),
    ("train-tokenizer", [f"tokenizer.existing={{folder}}/{BAD}"], 1, BAD),
    ("train-tokenizer", ["tokenizer.existing={folder}/none.json"], 1, "none.json"),
    ("train-tokenizer", [f"tokenizer.compare_with={{folder}}/{BAD}"], 1, BAD),
    ("train-tokenizer", ["tokenizer.source_weights={{nobody=2}}"], 1, "nobody"),
    ("pack", ["pack.heldout_share=0.000001"], 1, "fell into the held-out share"),
    ("evaluate", ["evaluate.questions=['{folder}/none.jsonl']"], 1, "none.jsonl"),
    ("curate", ["filter.own.mine.function=no_module:mine"], 2, "no_module"),
    ("curate", ["filter.urls.lists=['{folder}/none']"], 1, "filter.urls.lists"),
    ("curate", ["filter.spam.on=true", "filter.spam.model={folder}/none"], 1, "none"),
    ("curate", ["dedup.decontaminate.sets=['{folder}/none.jsonl']"], 1, "none.jsonl"),
    ("curate", [f"dedup.decontaminate.sets=['{{folder}}/{BAD}']"], 1, "line 2"),
    ("curate", ["dedup.against=['{folder}/none']"], 1, "none"),
    ("ingest", ["ingest.inputs=['{folder}/none']"], 1, "none"),
]


@pytest.mark.parametrize(("job", "settings", "code", "part"), REFUSED)
def test_a_refused_setting_leaves_the_run_as_it_was(
    job: str, settings: list[str], code: int, part: str, copy: Callable[[], Made], commands: Commands, tmp_path: Path
) -> None:
    mine = copy()
    (tmp_path / BAD).write_text("{}\n{")
    before, resolved = contents(mine.run), (mine.run / "run.toml").read_bytes()
    given = [word for each in settings for word in ("--set", each.format(folder=tmp_path, run=mine.run))]
    ended = commands.run(job, mine.run, *given)
    assert ended.code == code, ended.err
    assert len(ended.sentences) == 1
    assert part in ended.sentences[0]
    after = {name: content for name, content in contents(mine.run).items() if not name.startswith(PASSING)}
    assert_same(after, before)
    assert (mine.run / "run.toml").read_bytes() == resolved
    ended = commands.run(job, mine.run)
    assert ended.code == 0, ended.err
    assert "up to date" in ended.err


def test_the_tokenizer_of_the_run_may_be_taken_over(copy: Callable[[], Made], commands: Commands) -> None:
    mine = copy()
    own = mine.run / "tokenizer/tokenizer.json"
    before = own.read_bytes()
    ended = commands.run("train-tokenizer", mine.run, "--set", f"tokenizer.existing={own}")
    assert ended.code == 0, ended.err
    assert own.read_bytes() == before
    ended = commands.run("train-tokenizer", mine.run)
    assert "tokenizer: up to date" in ended.err, "its own bytes are what it was made of"


def test_a_run_says_at_its_start_what_later_stages_would(
    copy: Callable[[], Made], commands: Commands, tmp_path: Path
) -> None:
    mine = copy()
    fresh = tmp_path / "fresh"
    wrong = {
        "train.batch_tokens=100": "train.batch_tokens is 100",
        "tokenizer.existing=none.json": "tokenizer.existing: no such file: none.json",
        "evaluate.questions=['none.jsonl']": "evaluate.questions: no such file: none.jsonl",
        "dedup.decontaminate.sets=['items.jsonl']": "dedup.decontaminate.sets: no such file: items.jsonl",
        "filter.own.mine.function=no_module:mine": "filter.own",
        "pack.heldout_share=0.0": "pack.heldout_share is 0",
        "model.causal=false": ENCODER,
    }
    given = [word for each in wrong for word in ("--set", each)]
    ended = commands.run(
        "run", mine.settings, "--set", f"run.folder={fresh}", "--set", "pack.heldout_documents=0", *given
    )
    wrong["pack.heldout_share=0.0"] = "pack.heldout_documents is 0"
    assert ended.code == 2, ended.err
    assert len(ended.sentences) == 1
    assert ended.sentences[0].startswith(f"corpusmill: {len(wrong)} settings cannot be used: (1) ")
    for part in wrong.values():
        assert part in ended.sentences[0]
    assert [path.name for path in fresh.iterdir()] == [".lock"], "something was done"


@pytest.mark.parametrize("job", ["run", "ablate"])
def test_an_encoder_is_refused_wherever_it_would_be_trained(
    job: str, copy: Callable[[], Made], commands: Commands
) -> None:
    mine = copy()
    before = contents(mine.run)
    more = ["dedup.threshold=0.7"] if job == "ablate" else []
    ended = commands.run(job, mine.run, *more, "--set", "model.causal=false")
    assert ended.code == 2, ended.err
    assert ENCODER in ended.sentences[0]
    assert "docs/model.md" in ended.sentences[0]
    assert_same(contents(mine.run), before)
    assert not list(mine.run.parent.glob("run-variant-*"))
    assert "causal = true" in (mine.run / "run.toml").read_text()


def test_what_a_later_stage_finds_in_the_data_keeps_the_settings_of_what_was_made(
    copy: Callable[[], Made], commands: Commands
) -> None:
    """The documents are others by then, so run.toml says what made them."""
    mine = copy()
    weights = "train.source_weights={nobody=1.0}"
    ended = commands.run("run", mine.run, "--set", weights, "--set", "dedup.threshold=0.65")
    assert ended.code == 2, ended.err
    assert "nobody" in ended.sentences[0]
    assert "threshold = 0.65" in (mine.run / "run.toml").read_text()
    made = json.loads((mine.run / "documents/manifest.json").read_text())
    assert made["settings"]["dedup"]["threshold"] == 0.65


# What lies in a folder that was never a run, and whether a run may begin there.
FOREIGN = [
    ({"documents/letter.txt": "mine"}, False),
    ({"model/weights.bin": "mine", "my.toml": ""}, False),
    ({"notes.txt": "mine", "data/documents/letter.txt": "mine"}, True),  # names that no run has
    ({"documents/manifest.json": "{}", "documents/part.parquet": ""}, True),  # a dataset that was copied there
    ({"attempts/filter/step.json": "{}", "documents/part.parquet": ""}, True),  # what a killed command left
]


@pytest.mark.parametrize(("files", "allowed"), FOREIGN)
def test_a_folder_of_something_else_is_not_made_a_run(files: dict[str, str], allowed: bool, tmp_path: Path) -> None:
    folder = tmp_path / "place"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    refused = pytest.raises(SettingError, match=r"is no run and holds .*, whose files a run would replace")
    with nullcontext() if allowed else refused, opened(RunConfig(run=RunSettings(folder=str(folder)))):
        pass
    assert {name: (folder / name).read_text() for name in files} == files
    assert (folder / "run.toml").exists() == allowed


OWN = '# what I wrote\n[run]\nfolder = "."\n'


@pytest.mark.parametrize(
    ("files", "part"),
    [
        ({"run.toml": OWN, "documents/thesis.txt": "mine"}, "whose files a run would replace"),
        ({"run.toml": OWN}, "which somebody has written"),
        # a run whose settings somebody has edited stays one
        ({"run.toml": OWN, "pages/manifest.json": "{}"}, ""),
        ({"run.toml": "# corpusmill 0.1.0\n", "documents/part-000000.parquet": ""}, ""),  # killed between two files
    ],
)
def test_a_settings_file_of_that_name_makes_no_run(
    files: dict[str, str], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with (
        pytest.raises(SettingError, match=part) if part else nullcontext(),
        opened(RunConfig(run=RunSettings(folder="."))),
    ):
        pass
    if part:
        assert {
            str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()
        } == files
