"""Strict settings: nothing that a person writes is dropped, guessed or turned into something else."""

import os
import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import pytest

from jobs import config
from jobs.config import RunConfig
from jobs.settings import build, override, plain, to_toml
from pipeline.errors import InputError, SettingError

CONFIGS = sorted((Path(__file__).parents[1] / "jobs/configs").glob("*.toml"))
TABLES = [each.name for each in fields(RunConfig)]


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        # a wrong key, in the first table, in a nested one, and as a table: each with the nearest known one
        ("[pack]\nsequence_lenght = 64", r"unknown setting 'sequence_lenght' in \[pack\] \(did you mean 'sequence_length'\?\); known are .*shard_tokens"),
        ("[filter.gopher_quality]\nmin_word = 1", r"unknown setting 'min_word' in \[filter.gopher_quality\] \(did you mean 'min_words'\?\)"),
        ("[packs]\n", r"unknown setting 'packs' in the settings \(did you mean 'pack'\?\); known are count, crawl"),
        ("[pack]\nxyzzy = 64", r"unknown setting 'xyzzy' in \[pack\]; known are"),
        # a wrong type: never turned into the right one
        ("[pack]\nsequence_length = '64'", r"pack.sequence_length is '64'; expected a whole number"),
        ("[pack]\nsequence_length = 64.0", r"pack.sequence_length is 64.0; expected a whole number"),
        ("[pack]\nsequence_length = true", r"pack.sequence_length is True; expected a whole number"),
        ("[pack]\nseparate_sources = 1", r"pack.separate_sources is 1; expected true or false"),
        ("[ingest]\ninputs = 'one'", r"ingest.inputs is 'one'; expected a list"),
        ("[filter]\nlanguages = '[en,de]'", r"\[en,de\]'; expected a list, for example --set 'filter.languages=\[\"en\", \"de\"\]'"),
        ("[filter]\nlanguages = '[\"en\"'", r"for example --set 'filter.languages=\[\"en\"\]'"),
        ("[run]\nfolder = \"a\\u0000b\"", r"run.folder is 'a\\x00b'; no text may hold a NUL"),
        ("[ingest]\ninputs = ['one', 2]", r"ingest.inputs\[1\] is 2; expected a text in quotes"),
        ("[ingest.sources]\nbooks = 3", r"ingest.sources.books is 3; expected a text in quotes"),
        ("pack = 3", r"\[pack\] must be a table, not 3"),
        ("[pack]\nmethod = 'best'", r"pack.method is 'best'; allowed are 'best_fit', 'concat', 'one_per_row'"),
        # out of range
        ("[pack]\nsequence_length = 1", r"pack.sequence_length is 1; allowed is 2 to"),
        ("[run]\nmax_error_share = 1.5", r"run.max_error_share is 1.5"),
        ("[tokenizer]\nvocab_size = 5", r"tokenizer.vocab_size is 5; allowed is 264"),
        ("[dedup]\nthreshold = 0", r"dedup.threshold is 0"),
        ("[train]\nsteps = 0", r"train.steps is 0"),
        ("[filter]\nsets = ['gopher']", r"filter.sets names 'gopher'; known are gopher_quality"),
        # contradictions name both sides
        ("[crawl]\nseeds = ['https://example.org/']\nuser_agent = 'x/1 (+https://example.org/; a@example.org)'\n[ingest]\ninputs = ['a']", r"crawl.seeds and ingest.inputs"),
        ("[filter.gopher_quality]\nmin_words = 9\nmax_words = 8", r"min_words is 9, more than max_words, 8"),
        ("[dedup]\nsurvivor = 'best_measure'", r"dedup.survivor_measure is ''; allowed is set with dedup.survivor = 'best_measure'"),
        ("[model]\nattention = 'mla'\npositions = 'alibi'", r"model.positions is 'alibi'"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_in_one_sentence(toml: str, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence) as caught:
        build(RunConfig, tomllib.loads(toml))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_refuses_what_it_does_not_know(name: str) -> None:
    with pytest.raises(SettingError, match=rf"unknown setting 'no_such_thing' in \[{name}\]"):
        build(RunConfig, {name: {"no_such_thing": 1}})


def _settings(value: Any, path: tuple[str, ...] = ()) -> Any:
    """Every setting by its path, sub-tables included."""
    for each in fields(value):
        inner = getattr(value, each.name)
        if hasattr(inner, "__dataclass_fields__"):
            yield from _settings(inner, (*path, each.name))
        else:
            yield (*path, each.name), inner


@pytest.mark.parametrize("path", [path for path, _ in _settings(RunConfig())], ids=".".join)
def test_every_setting_refuses_a_wrong_type(path: tuple[str, ...]) -> None:
    """A list of lists is the right type of no setting; the sentence names the setting."""
    table: Any = [[1]]
    for name in reversed(path):
        table = {name: table}
    with pytest.raises(SettingError, match=re.escape(path[-1])):
        build(RunConfig, table)


def test_defaults_survive_a_round_trip() -> None:
    assert build(RunConfig, tomllib.loads(to_toml(RunConfig()))) == RunConfig()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_settings_load_and_survive_a_round_trip(path: Path) -> None:
    loaded = config.load(str(path))
    assert build(RunConfig, tomllib.loads(to_toml(loaded))) == loaded


@pytest.mark.parametrize("name", TABLES)
def test_each_table_survives_a_round_trip(name: str) -> None:
    table = getattr(RunConfig(), name)
    assert build(type(table), tomllib.loads(to_toml(table))) == table


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("pack.sequence_length=128", 128),
        ("pack.sequence_length = 1_024", 1024),  # TOML, with spaces
        ("pack.heldout_share=0.5", 0.5),
        ("pack.heldout_documents=7", 7),
        ("filter.languages=['en', 'de']", ("en", "de")),
        ("ingest.source=books", "books"),  # a bare word is a text
        ("ingest.source='books'", "books"),
        ("ingest.sources.more=/data/*.jsonl", "/data/*.jsonl"),  # into a table of a user's own names
        ("filter.gopher_quality.min_words=3", 3),
        ("train.device=cuda:1", "cuda:1"),
        ("ingest.sources.more='a'\nb=3", "'a'\nb=3"),  # no second setting, and nothing is dropped
    ],
)
def test_settings_can_be_overridden(assignment: str, value: object) -> None:
    built: Any = build(RunConfig, override({"pack": {"sequence_length": 64}}, [assignment]))
    for name in assignment.partition("=")[0].strip().split("."):
        built = built[name] if isinstance(built, dict) else getattr(built, name)
    assert built == value


@pytest.mark.parametrize("assignment", ["pack", "pack=3", "=3", "pack..x=3", "pack.sequence_length", ".x=1"])
def test_assignments_that_assign_nothing_are_refused(assignment: str) -> None:
    with pytest.raises(SettingError, match="--set"):
        build(RunConfig, override({}, [assignment]))


def test_an_assignment_that_no_settings_could_hold_is_refused() -> None:
    """What a shell passes on of a file name in Latin-1; run.toml is UTF-8."""
    name = os.fsdecode(b"caf\xe9.jsonl")
    with pytest.raises(SettingError, match=r"--set 'ingest.inputs=\[.*udce9.jsonl.*: the value is not UTF-8"):
        override({}, [f'ingest.inputs=["{name}"]'])


def test_a_run_has_a_name_that_its_settings_can_hold(tmp_path: Path) -> None:
    file, folder = tmp_path / os.fsdecode(b"caf\xe9.toml"), tmp_path / os.fsdecode(b"run-\xe9")
    file.write_text("")
    config.write_resolved(build(RunConfig, {"run": {"folder": str(tmp_path / "run")}}))
    (tmp_path / "run").rename(folder)
    for path in (file, folder):
        with pytest.raises(SettingError, match=r"run.folder is .*udce9.* which is not UTF-8"):
            config.load(str(path))
    assert config.load(str(file), ["run.folder=runs/cafe"]).run.folder == "runs/cafe"


def test_an_assignment_goes_into_no_value() -> None:
    with pytest.raises(SettingError, match=r"sequence_length is a value, not a table"):
        override({"pack": {"sequence_length": 64}}, ["pack.sequence_length.x=1"])


def test_overriding_leaves_the_given_tables_alone() -> None:
    given = {"pack": {"sequence_length": 64}}
    override(given, ["pack.sequence_length=128"])
    assert given == {"pack": {"sequence_length": 64}}


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such settings file"):
        config.load(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("content", [b"[pack", b"\xff\xfe", b"a = 1\na = 2"], ids=["open table", "no text", "twice"])
def test_what_is_no_toml_is_refused_with_its_place(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(SettingError, match=r"bad\.toml is not valid TOML"):
        config.load(str(path))


def test_data_in_place_of_settings_are_not_taken_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "data.jsonl").open("wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no place
    for path in (str(tmp_path / "data.jsonl"), "/dev/zero"):
        with pytest.raises(SettingError, match=rf"{path} has more than 16777216 bytes, so it holds no settings"):
            config.load(path)


def test_a_run_folder_stands_for_its_settings(tmp_path: Path) -> None:
    made = build(RunConfig, {"run": {"folder": str(tmp_path / "run")}, "pack": {"sequence_length": 64}})
    config.write_resolved(made)
    assert config.load(str(tmp_path / "run")) == made
    assert config.load(str(tmp_path / "run"), ["pack.sequence_length=32"]).pack.sequence_length == 32


def test_settings_name_their_run(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("")
    assert config.load(str(tmp_path / "mine.toml")).run.folder == "runs/mine"


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A table of its own."""

    names: tuple[str, ...] = ("a",)
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Every:
    """One setting of every type that may be one."""

    must: int
    share: float = 0.5
    limit: int | None = None
    either: Literal["a", 1, True] = "a"
    inner: Inner = field(default_factory=Inner)


def test_every_type_of_setting_round_trips() -> None:
    made = Every(must=1, share=2.0, limit=3, either=1, inner=Inner(names=(), weights={"x": 1.0}))
    assert build(Every, tomllib.loads(to_toml(made))) == made
    assert plain(made)["inner"] == {"names": [], "weights": {"x": 1.0}}


def test_a_setting_without_a_default_must_be_given() -> None:
    with pytest.raises(SettingError, match="the setting 'must'"):
        build(Every, {})


def test_a_whole_number_serves_as_a_number() -> None:
    built = build(Every, {"must": 1, "share": 1})
    assert isinstance(built.share, float)


def test_true_is_not_one() -> None:
    with pytest.raises(SettingError, match="either"):
        build(Every, {"must": 1, "either": 2})
    with pytest.raises(SettingError, match="must is True"):
        build(Every, {"must": True})


def test_a_folder_that_is_set_comes_before_that_of_the_run(tmp_path: Path) -> None:
    """Else who wants the settings of a run for another one would change the first."""
    config.write_resolved(build(RunConfig, {"run": {"folder": str(tmp_path / "run")}}))
    assert config.load(str(tmp_path / "run") + "/", ["run.folder=elsewhere"]).run.folder == "elsewhere"
    (tmp_path / "run").rename(tmp_path / "moved")
    assert config.load(str(tmp_path / "moved")).run.folder == str(tmp_path / "moved")


def test_the_settings_file_of_a_run_that_moved_is_not_used_for_the_other(tmp_path: Path) -> None:
    config.write_resolved(build(RunConfig, {"run": {"folder": str(tmp_path / "run")}}))
    file = tmp_path / "copy/run.toml"
    file.parent.mkdir()
    file.write_bytes((tmp_path / "run/run.toml").read_bytes())
    assert config.load(str(file)).run.folder == str(tmp_path / "run"), "a file of settings as any other"
    (tmp_path / "copy/pages").mkdir()
    (tmp_path / "copy/pages/manifest.json").write_text("{}")
    with pytest.raises(SettingError, match=r"run.folder in .*/copy/run.toml is .*/run, but the file lies in the run"):
        config.load(str(file))
    assert config.load(str(file), ["run.folder=mine"]).run.folder == "mine"
    (tmp_path / "link").symlink_to(tmp_path / "copy")
    assert config.load(str(file), [f"run.folder={tmp_path}/link"]).run.folder == f"{tmp_path}/link"


def test_a_home_folder_is_one_in_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.toml").write_text('[run]\nfolder = "~/runs/mine"\n')
    assert config.load(str(tmp_path / "mine.toml")).run.folder == f"{tmp_path}/runs/mine"
