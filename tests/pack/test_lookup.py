"""From tokens to pages and back."""

from pathlib import Path

import pytest

from jobs.engine import Engine
from jobs.pack import pack_run
from jobs.tokens import show
from pipeline.errors import InputError
from pipeline.pack.lookup import find_document, urls_of
from pipeline.pack.shards import ShardSet
from pipeline.records import Document
from tests.pack.test_stage import CONFIG, encoder_of, make_documents, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_run(tmp_path_factory.mktemp("run"), [DOCUMENTS])
    pack_run(folder, CONFIG, Engine())
    return folder


DOCUMENTS: list[Document] = make_documents(40)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.url)
def test_the_pieces_of_a_document_hold_its_text(run: str, document: Document) -> None:
    encoder = encoder_of(run)
    ids: list[int] = []
    for piece in find_document(f"{run}/shards", document.id):
        row = ShardSet.open(f"{run}/shards", piece.split).row(piece.source, piece.row)
        assert piece.offset == len(ids)
        ids += row.tokens[piece.start + 1 : piece.end + 1]
    assert ids.pop() == encoder.end_of_text_id
    assert encoder.decode(ids) == document.text


def test_a_document_that_is_not_there_has_no_pieces(run: str) -> None:
    assert find_document(f"{run}/shards", "0" * 32) == []


def test_urls_come_from_the_documents(run: str) -> None:
    wanted = DOCUMENTS[3:9]
    assert urls_of(f"{run}/documents", [document.id for document in wanted] + ["0" * 32]) == {
        document.id: document.url for document in wanted
    }


def test_rows_are_shown_with_text_and_urls(run: str) -> None:
    document = max(DOCUMENTS, key=lambda document: len(document.text))
    lines = "\n".join(show(run, document=document.id))
    assert f"document {document.id} {document.url}: from its beginning, cut" in lines
    assert f"document {document.id} {document.url}: from its token 64, cut" in lines
    assert document.text[:60] in lines
    shards = ShardSet.open(f"{run}/shards")
    for source in shards.sources:
        shown = list(show(run, source=source, row=0, num_rows=shards.num_rows(source)))
        assert sum(line.startswith(f"train / {source} / row ") for line in shown) == shards.num_rows(source)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"document": "f" * 32}, "no shard in .* holds document ffff"),
        ({"document": "xyz"}, "'xyz' is not a document id"),
        ({"row": 100_000}, "has rows 0 to .* not rows 100000 to 100000"),
        ({"num_rows": 0}, "0 rows are asked for; allowed is 1 or more"),
        ({"source": "mail"}, "no rows of source 'mail'"),
        ({"split": "test"}, "no split 'test'"),
    ],
)
def test_what_is_not_there_is_said(run: str, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        list(show(run, **options))  # type: ignore[arg-type]


def test_nothing_of_this_depends_on_where_a_run_lies(run: str, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    Path(run).rename(moved)
    try:
        assert list(show(str(moved), row=0))
    finally:
        moved.rename(run)
