"""The way from documents to a tokenizer, on disk."""

import json
from pathlib import Path

import pytest

from jobs.bars import groups
from jobs.count import count_run
from jobs.engine import Engine
from jobs.fertility import as_text, by_language, by_language_and_source, key_figures
from jobs.train_tokenizer import train_run
from pipeline.count.config import CountConfig
from pipeline.count.loading import load_table
from pipeline.errors import InputError
from pipeline.manifests import damaged_files
from pipeline.places import join
from pipeline.records import Document
from pipeline.steps import Receipt, Step, write_receipt
from pipeline.storage import read_bytes
from pipeline.tables import DOCUMENTS, TableWriter, document_row
from tokenizer.config import TokenizerConfig
from tokenizer.encoding import load_encoder
from tokenizer.patterns import pattern_named
from tokenizer.splitting import Splitter

TEXTS = [
    ("web", "en", "The quick brown fox's den, 1234567 times over.\n\n  And again: the quick brown fox!"),
    ("web", "de", "Die Straße war naß und der Fuchs lief über die Straße."),
    ("books", "zh", "敏捷的棕色狐狸跳过了懒狗。敏捷的狐狸。"),
    ("web", "en", "The fox, the fox, the fox <|endoftext|> and the den.\r\n\r\n\tdef f(x):\n\t\treturn x\n"),
    ("", "", ""),
]


def write_documents(run: str, files: list[list[tuple[str, str, str]]]) -> None:
    """A dataset `documents` of the given files of (source, language, text)."""
    step = Step(run=run, name="documents", outputs=("documents",))
    step.begin()
    for number, texts in enumerate(files):
        with TableWriter(join(run, "documents", f"part-{number:06d}.parquet"), DOCUMENTS) as table:
            for source, language, text in texts:
                table.append(document_row(Document(id="0" * 32, url="", text=text, source=source, language=language)))
        write_receipt(step.attempt_folder, Receipt(shard=f"part-{number:06d}", files={"documents": (table.entry(),)}))
    step.commit([f"part-{number:06d}" for number in range(len(files))])


def tree(folder: str) -> dict[str, bytes]:
    """All files of a dataset."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()
    }


@pytest.fixture
def run(tmp_path: Path) -> str:
    write_documents(str(tmp_path), [TEXTS[:2], TEXTS[2:]])
    return str(tmp_path)


def test_counts_and_tokenizer_from_documents(run: str) -> None:
    manifest = count_run(run, CountConfig(partitions=3), Engine())
    assert manifest.counts["read"] == 5
    assert not list(damaged_files(join(run, "counts")))
    table = load_table(join(run, "counts"))
    expected = Splitter(pattern_named("o200k")).count(text for _, _, text in TEXTS)
    ends = table.words.offsets.tolist()
    data = table.words.data.tobytes()
    counted = {
        data[start:end]: count for start, end, count in zip(ends, ends[1:], table.words.counts.tolist(), strict=False)
    }
    assert counted == dict(expected)
    train_run(run, TokenizerConfig(vocab_size=300))
    encoder = load_encoder(join(run, "tokenizer", "tokenizer.json"))
    assert encoder.vocab_size == 300
    for _, _, text in TEXTS:
        assert encoder.decode(encoder.encode(text)) == text


def test_the_table_depends_neither_on_files_nor_on_the_size_of_runs(run: str, tmp_path: Path) -> None:
    count_run(run, CountConfig(partitions=2), Engine())
    other = str(tmp_path / "other")
    write_documents(other, [[TEXTS[3]], [], [TEXTS[1]], [TEXTS[0], TEXTS[4]], [TEXTS[2]]])
    count_run(other, CountConfig(partitions=2), Engine())
    ours, theirs = tree(join(run, "counts")), tree(join(other, "counts"))
    ours.pop("manifest.json")
    theirs.pop("manifest.json")
    assert ours == theirs
    assert set(ours) == {"part-00000.arrow", "part-00001.arrow", "groups.json"}
    count_run(run, CountConfig(partitions=2), Engine(), force=True)
    again = tree(join(run, "counts"))
    again.pop("manifest.json")
    assert again == ours


def test_a_finished_step_is_not_done_again(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    count_run(run, CountConfig(), Engine())
    train_run(run, TokenizerConfig(vocab_size=280))
    before = read_bytes(join(run, "tokenizer", "tokenizer.json"))
    count_run(run, CountConfig(max_types=5000), Engine())  # not a setting that decides bytes
    train_run(run, TokenizerConfig(vocab_size=280))
    assert read_bytes(join(run, "tokenizer", "tokenizer.json")) == before
    assert "count: up to date" in (shown := "".join(capsys.readouterr()))
    assert "tokenizer: up to date" in shown


def test_a_tokenizer_that_does_not_fit_its_lock_is_refused(run: str) -> None:
    count_run(run, CountConfig(), Engine())
    train_run(run, TokenizerConfig(vocab_size=300))
    path = Path(run, "tokenizer", "tokenizer.json")
    lock = json.loads(path.with_name("tokenizer.lock").read_text())
    assert lock["special_ids"]["<|endoftext|>"] == 0
    assert lock["pattern"]["label"] == "o200k@1"
    assert {len(lock[name]) for name in ("tokenizer_json_sha256",)} == {64}
    assert len(lock["vocabulary"]["sha256"]) == len(lock["unicode"]["classes_sha256"]) == 64
    assert lock["training"]["counts"]
    path.write_text(path.read_text().replace('"<|pad|>"', '"<|dap|>"'))
    with pytest.raises(ValueError, match=r"tokenizer.lock beside it was written for: tokenizer_json_sha256 differs"):
        load_encoder(str(path))
    path.with_name("tokenizer.lock").write_text("[]")
    with pytest.raises(ValueError, match=r"the tokenizer.lock beside it is not a lock"):
        load_encoder(str(path))


def test_fertility_beside_another_tokenizer(run: str, tmp_path: Path) -> None:
    """By language and source, for both; the picture and the figures of the report."""
    count_run(run, CountConfig(), Engine())
    train_run(run, TokenizerConfig(vocab_size=290))
    small = tmp_path / "small.json"
    small.write_bytes(read_bytes(join(run, "tokenizer", "tokenizer.json")))
    train_run(run, TokenizerConfig(vocab_size=400, compare_with=str(small)))
    value = json.loads(Path(run, "tokenizer", "fertility.json").read_text())
    other = value["compared"][str(small)]
    assert value["total"]["bytes"] == other["total"]["bytes"] == sum(len(text.encode()) for *_, text in TEXTS)
    assert value["total"]["bytes_per_token"] > other["total"]["bytes_per_token"]
    assert set(value["languages"]) == {"", "de", "en", "zh"}
    assert set(value["sources"]) == {"", "web", "books"} == set(other["sources"])
    rows = by_language(value)
    assert list(rows) == ["all", "en", "de", "zh", "(none)"]
    assert set(rows["en"]) == {"this tokenizer", "small.json"}
    assert list(by_language_and_source(value))[5:] == ["source web", "source books", "source (none)"]
    shown = as_text({"ours": value})
    assert all(f"  {name}: " in shown for name in ("digits", "white space", "code", "least used", "longest"))
    assert dict(key_figures(value))["tokens in the vocabulary"] == f"{value['vocab_size']}"
    drawn = groups(rows)
    assert [(bar.name, bar.series) for bar in drawn[:3]] == [
        ("all", "this tokenizer"),
        ("", "small.json"),
        ("en", "this tokenizer"),
    ]
    assert max(bar.percent for bar in drawn) == 100
    assert drawn[0].percent > drawn[1].percent > 0


def test_an_existing_tokenizer_is_taken_over(run: str, tmp_path: Path) -> None:
    count_run(run, CountConfig(), Engine())
    train_run(run, TokenizerConfig(vocab_size=300))
    theirs = tmp_path / "theirs.json"
    theirs.write_bytes(read_bytes(join(run, "tokenizer", "tokenizer.json")))
    manifest = train_run(run, TokenizerConfig(existing=str(theirs)))
    assert manifest.counts["tokens"] == 300
    assert read_bytes(join(run, "tokenizer", "tokenizer.json")) == theirs.read_bytes()
    theirs.write_text("{}")
    with pytest.raises(InputError, match=r"theirs\.json is not a usable byte-level tokenizer"):
        train_run(run, TokenizerConfig(existing=str(theirs)))


def test_a_rank_file_is_taken_over(run: str, tmp_path: Path) -> None:
    """With special ids of its own, or with those of the settings behind its last rank."""
    count_run(run, CountConfig(pattern="cl100k"), Engine())
    train_run(run, TokenizerConfig(vocab_size=300, special_tokens=("<|endoftext|>",), reserved_tokens=0))
    ours = load_encoder(join(run, "tokenizer", "tokenizer.json"))
    ranks = tmp_path / "their.tiktoken"
    ranks.write_bytes(read_bytes(join(run, "tokenizer", "tokenizer.tiktoken")))
    for ids, expected in (({}, 299), ({"<|endoftext|>": 400}, 400)):
        names = {"special_tokens": ("<|endoftext|>",), "reserved_tokens": 0}
        train_run(run, TokenizerConfig(existing=str(ranks), existing_special_ids=ids, **names))  # type: ignore[arg-type]
        encoder = load_encoder(join(run, "tokenizer", "tokenizer.json"))
        assert encoder.specials == {"<|endoftext|>": expected}
        for _, _, text in TEXTS:
            assert encoder.encode(text) == [token_id - 1 for token_id in ours.encode(text)]
    ranks.write_text("no ranks\n")
    with pytest.raises(
        InputError, match=r"their\.tiktoken is neither a tokenizer\.json nor a usable rank file: line 1 of"
    ):
        train_run(run, TokenizerConfig(existing=str(ranks)))
