"""The way from documents to a tokenizer, on disk."""

from pathlib import Path

import pytest

from jobs.count import count_run
from jobs.engine import Engine
from jobs.train_tokenizer import train_run
from pipeline.count.config import CountConfig
from pipeline.count.loading import load_table
from pipeline.errors import InputError
from pipeline.records import Document
from pipeline.steps import Receipt, Step, write_receipt
from pipeline.storage import damaged_files, join, read_bytes
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
