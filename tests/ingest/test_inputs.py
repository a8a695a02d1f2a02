"""Which files are read, as what, and how they are shared out."""

import gzip
import json
import os
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.errors import InputError, SettingError
from pipeline.ingest.captures import Capture, Place
from pipeline.ingest.config import FieldNames, IngestConfig
from pipeline.ingest.identity import url_of
from pipeline.ingest.inputs import InputFile, kind_by_name, list_inputs
from pipeline.ingest.sharing import items_of, listed, shards
from pipeline.manifests import hash_of
from tests.ingest.archives import archive, crawl


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CC-MAIN-2026-00001.warc.gz", "warc"),
        ("x.warc.wet.gz", "warc"),
        ("x.WET", "warc"),
        ("x.arc.gz", "warc"),
        ("x.warc.zst", "warc"),
        ("x.warc.gz.open", "warc"),
        ("sample.warc.txt", "warc"),
        ("c4-train.00000-of-01024.json.gz", "jsonl"),
        ("x.ndjson.bz2", "jsonl"),
        ("part-0.parquet", "parquet"),
        ("index.HTML", "html"),
        ("a.b.txt.xz", "text"),
        ("README.md", "text"),
        ("index.cdx", ""),
        ("warc", ""),
        ("archive", ""),
    ],
)
def test_formats_show_in_names(name: str, kind: str) -> None:
    assert kind_by_name(name) == kind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.html", "b/1.txt", "a.jsonl", "c.cdx", ".hidden/x.txt", "_SUCCESS", "b/_temporary/x.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"{}")
    return tmp_path / "in"


def names(*inputs: str, **more: object) -> list[tuple[str, str]]:
    return [(file.name, file.kind) for file in list_inputs(IngestConfig(inputs=inputs, **more)).files]  # type: ignore[arg-type]


def test_folders_are_read_with_all_below_them(folder: Path) -> None:
    expected = [("a.jsonl", "jsonl"), ("b/1.txt", "text"), ("b/2.html", "html")]
    assert names(str(folder)) == expected
    assert names(f"file://{folder}") == expected
    assert names(str(folder), str(folder / "b")) == expected  # each file once
    assert list_inputs(IngestConfig(inputs=(str(folder),))).num_passed_over == 1  # c.cdx


def test_relative_inputs_are_made_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert [file.path for file in list_inputs(IngestConfig(inputs=("b",))).files] == [
        str(folder / "b/1.txt"),
        str(folder / "b/2.html"),
    ]


def test_patterns_and_labels(folder: Path) -> None:
    assert names(f"{folder}/b/*.txt", f"{folder}/**/1.*") == [("1.txt", "text")]
    assert names(f"{folder}/*.cdx") == [("c.cdx", "jsonl")]  # named by the user: its first bytes decide
    assert names(f"{folder}/a.jsonl", format="text", text_unit="line") == [("a.jsonl", "text_line")]
    config = IngestConfig(inputs=(f"{folder}/b",), sources={"web": f"{folder}/a.jsonl"}, source="books")
    assert [(file.source, file.name) for file in list_inputs(config).files] == [
        ("books", "1.txt"),
        ("books", "2.html"),
        ("web", "a.jsonl"),
    ]


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ((), "nothing to ingest"),
        (("/nowhere/x.warc",), "'/nowhere/x.warc' does not exist"),
        (("/nowhere/*.warc",), "'/nowhere/*.warc' matches no file"),
        (("memory://nowhere/x",), "does not exist"),
        (("ftpx://a/b",), "cannot open 'ftpx://a/b'"),
    ],
)
def test_missing_inputs_are_named(inputs: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        list_inputs(IngestConfig(inputs=inputs))
    assert sentence in str(caught.value)


def test_a_folder_without_anything_to_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\0")
    with pytest.raises(InputError, match="holds no file of a known format"):
        list_inputs(IngestConfig(inputs=(str(tmp_path),)))
    with pytest.raises(InputError, match=r"of no known format; set ingest\.format"):
        list_inputs(IngestConfig(inputs=(str(tmp_path / "x.bin"),)))


def test_object_stores_are_listed() -> None:
    store = fsspec.filesystem("memory")
    for name in ("a.jsonl", "deep/b.txt", "deep/_c.txt"):
        store.pipe(f"/inputs-test/{name}", b"{}")
    assert names("memory://inputs-test") == [("a.jsonl", "jsonl"), ("deep/b.txt", "text")]
    assert names("memory://inputs-test/deep/*.txt") == [("_c.txt", "text"), ("b.txt", "text")]
    assert [file.path for file in list_inputs(IngestConfig(inputs=("memory://inputs-test/a.jsonl",))).files] == [
        "memory:///inputs-test/a.jsonl"
    ]


def test_identity_changes_with_the_files(folder: Path) -> None:
    config = IngestConfig(inputs=(str(folder),))
    first = list_inputs(config).identity()
    assert list_inputs(config).identity() == first
    (folder / "a.jsonl").write_bytes(b"{ }")
    assert list_inputs(config).identity() != first
    second = list_inputs(config).identity()
    os.utime(folder / "a.jsonl", ns=(0, 0))  # same size, another time
    assert list_inputs(config).identity() != second


def small(number: int, num_bytes: int = 10) -> InputFile:
    return InputFile(
        path=f"/x/{number:07d}.txt", kind="text", source="s", name=str(number), num_bytes=num_bytes, stamp=""
    )


def test_many_small_files_make_few_shards() -> None:
    made = list(shards([small(number) for number in range(100_000)], IngestConfig()))
    assert len(made) == -(-100_000 // 4096)
    assert sum(len(shard.work) for shard in made) == 100_000
    assert [shard.name for shard in made] == sorted(shard.name for shard in made)


def test_groups_are_bounded_in_bytes_and_in_number() -> None:
    config = IngestConfig(group_bytes=100, group_files=3)
    sizes = [10, 10, 10, 10, 95, 10, 200, 5]
    made = list(shards([small(number, size) for number, size in enumerate(sizes)], config))
    assert [[int(item["name"]) for item in shard.work] for shard in made] == [[0, 1, 2], [3], [4], [5], [6], [7]]


def test_large_files_are_split_where_their_format_allows_it(tmp_path: Path) -> None:
    lines = b'{"text":"words"}\n' * 1000
    files = {
        "a.warc.gz": archive(crawl(range(50))),
        "b.warc": archive(crawl(range(50)), ""),
        "c.warc.gz": archive([b"".join(crawl(range(500)))]),  # one member: cannot be split
        "d.jsonl": lines,
        "e.jsonl.gz": archive([os.urandom(9000).hex().encode()]),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    table = pa.Table.from_pylist([{"text": os.urandom(50).hex()} for _ in range(400)])
    pq.write_table(table, tmp_path / "f.parquet", row_group_size=40)
    config = IngestConfig(inputs=(str(tmp_path),), split_bytes=4000)
    made = list(shards(list_inputs(config).files, config))
    ranges: dict[str, list[tuple[int, int | None]]] = {}
    for shard in made:
        for item in shard.work:
            ranges.setdefault(item["name"], []).append((item["start"], item["end"]))
    assert {name for name, parts in ranges.items() if len(parts) > 1} == {"a.warc.gz", "b.warc", "d.jsonl", "f.parquet"}
    for parts in ranges.values():
        assert parts[0][0] == 0
        assert parts[-1][1] is None
        assert [end for _, end in parts[:-1]] == [start for start, _ in parts[1:]]
    never = IngestConfig(inputs=(str(tmp_path),), split_bytes=0)
    assert all(item["end"] is None for shard in shards(list_inputs(never).files, never) for item in shard.work)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"max_page_bytes": 0}, "ingest.max_page_bytes is 0"),
        ({"max_page_bytes": 1 << 40}, "allowed is 1 to"),
        ({"statuses": ()}, "ingest.statuses is empty"),
        ({"max_unreadable_files": -1}, "ingest.max_unreadable_files is -1"),
        ({"source": "two words"}, "'two words' is not a label"),
        ({"sources": {"a/b": "x"}}, "'a/b' is not a label"),
        ({"inputs": ("a", "")}, "ingest.inputs holds an empty path"),  # it would be the folder where the command runs
        ({"sources": {"a": " "}}, "ingest.sources holds an empty path"),
        ({"base_url": "example.org/"}, "ingest.base_url is 'example.org/'; it must be the start of a URL"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingError) as caught:
        IngestConfig(**values)  # type: ignore[arg-type]
    assert sentence in str(caught.value)


def test_fields_need_a_text() -> None:
    with pytest.raises(SettingError, match="both empty"):
        FieldNames(text="", html="")


@pytest.mark.parametrize("name", ["x.xlsx", "x.avro", "x.pdf", "x.zim"])
def test_a_named_file_of_a_format_that_is_not_read_is_refused(name: str, tmp_path: Path) -> None:
    """Its bytes may well be text; a table taken for one document would be worse than a refusal."""
    (tmp_path / name).write_text("text,url\nsome words,https://example.org/\n")
    with pytest.raises(InputError, match=rf"ingest does not read \.{name[2:]} files; convert it"):
        list_inputs(IngestConfig(inputs=(str(tmp_path / name),)))
    assert [file.kind for file in list_inputs(IngestConfig(inputs=(str(tmp_path / name),), format="text")).files] == [
        "text"
    ]


def test_a_pdf_without_an_ending_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "paper").write_bytes(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    with pytest.raises(InputError, match="of no known format"):
        list_inputs(IngestConfig(inputs=(str(tmp_path / "paper"),)))


def test_links_in_circles_and_to_nowhere_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/x.jsonl").write_text("{}")
    (tmp_path / "sub/up").symlink_to("..")
    (tmp_path / "self.jsonl").symlink_to("self.jsonl")
    (tmp_path / "gone.jsonl").symlink_to("nowhere")
    (tmp_path / "also.jsonl").symlink_to("sub/x.jsonl")
    found = list_inputs(IngestConfig(inputs=(str(tmp_path),))).files
    assert [file.name for file in found] == ["also.jsonl", "sub/x.jsonl"]
    matched = list_inputs(IngestConfig(inputs=(str(tmp_path / "*.jsonl"),))).files
    assert [file.name for file in matched] == ["also.jsonl"]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_gives_its_bytes_once_or_without_end_is_no_input(tmp_path: Path, kind: str) -> None:
    """Opened, a pipe waits for a writer for ever, and /dev/zero never ends."""
    (tmp_path / "x.jsonl").write_text("{}")
    if kind == "pipe":
        os.mkfifo(tmp_path / "odd.jsonl")
    else:
        (tmp_path / "odd.jsonl").symlink_to("/dev/zero")
    for inputs in (tmp_path, tmp_path / "*.jsonl"):
        assert [file.name for file in list_inputs(IngestConfig(inputs=(str(inputs),))).files] == ["x.jsonl"]
    with pytest.raises(InputError, match=r"ingest input '.*/odd.jsonl' is a pipe, a socket or a device"):
        list_inputs(IngestConfig(inputs=(str(tmp_path / "odd.jsonl"),)))


@pytest.mark.parametrize(
    ("base_url", "name", "url"),
    [
        ("https://example.org/", "a/b.html", "https://example.org/a/b.html"),
        ("https://example.org/docs", "b.html", "https://example.org/docs/b.html"),  # with a slash between them
        ("https://example.org", "b.html", "https://example.org/b.html"),
        ("https://example.org/", "a #1?%20ü.html", "https://example.org/a%20%231%3F%2520%C3%BC.html"),
        ("https://example.org/", "a:b.html", "https://example.org/a%3Ab.html"),
        ("", "a b.html", "urn:corpusmill:books:a%20b.html"),
    ],
)
def test_urls_of_files(base_url: str, name: str, url: str) -> None:
    capture = Capture(place=Place(kind="html", position=0), url="", payload=b"x", media_type="text/html")
    assert url_of(capture, "0", source="books", name=name, base_url=base_url) == url


def test_a_name_that_is_not_utf8_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("some text")
    with pytest.raises(InputError, match="is not UTF-8; rename it"):
        list_inputs(IngestConfig(inputs=(str(tmp_path),)))


def test_cards_beside_data_are_no_documents(tmp_path: Path) -> None:
    """As the folders of dataset hubs look; without data beside it, a README is a text like any other."""
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("# A card")
    only = list_inputs(IngestConfig(inputs=(str(tmp_path),)))
    assert [file.name for file in only.files] == ["README.md"]
    (tmp_path / "dataset_infos.json").write_text("{}")
    (tmp_path / "data/train-00000-of-00001.parquet").write_bytes(b"PAR1")
    found = list_inputs(IngestConfig(inputs=(str(tmp_path),)))
    assert [file.name for file in found.files] == ["data/train-00000-of-00001.parquet"]
    assert found.num_passed_over == 2


def test_many_files_are_listed_outside_of_the_plan(tmp_path: Path) -> None:
    config = IngestConfig()
    (many,) = shards([small(number) for number in range(4000)], config)
    plan = listed(many, str(tmp_path))
    assert len(json.dumps(plan.work)) < 1000
    assert items_of(plan) == items_of(many) == many.work
    (few,) = shards([small(number) for number in range(3)], config)
    assert listed(few, str(tmp_path)) == few


def test_the_identity_is_the_hash_of_the_list(folder: Path) -> None:
    inputs = list_inputs(IngestConfig(inputs=(str(folder),)))
    rows = [[file.path, file.kind, file.source, file.num_bytes, file.stamp] for file in inputs.files]
    assert inputs.identity() == hash_of(rows)


def test_lists_of_paths(folder: Path, tmp_path: Path) -> None:
    """In any order, compressed or not, with lines that are none; what is relative gets the prefix."""
    lines = ["# segments", "", "b/2.html", "  a.jsonl  ", f"{folder}/b/1.txt", "b/2.html"]
    expected = [("1.txt", "text"), ("2.html", "html"), ("a.jsonl", "jsonl")]
    packs = (bytes, lambda data: gzip.compress(data), zstandard.compress)
    for number, pack in enumerate(packs):
        for order in (lines, lines[::-1]):
            path = tmp_path / f"list-{number}"
            path.write_bytes(pack("\r\n".join(order).encode("utf-8-sig")))  # type: ignore[operator]
            config = IngestConfig(input_files=(str(path),), input_prefix=f"file://{folder}/")
            files = list_inputs(config).files
            assert sorted((file.name, file.kind) for file in files) == expected
            assert [file.path for file in files] == sorted(file.path for file in files)
    with_inputs = IngestConfig(inputs=(str(folder),), input_files=(str(path),), input_prefix=str(folder))
    assert len(list_inputs(with_inputs).files) == 3  # each once


def test_each_file_of_a_list_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists name tens of thousands of files."""
    looked_at: list[int] = []
    monkeypatch.setattr("pipeline.ingest.inputs._cards_among", lambda files: looked_at.append(len(files)) or [])
    for number in range(50):
        (tmp_path / f"{number}.txt").write_text("words")
    (tmp_path / "list").write_text("".join(f"{tmp_path}/{number}.txt\n" for number in range(50)))
    assert len(list_inputs(IngestConfig(input_files=(str(tmp_path / "list"),))).files) == 50
    assert sum(looked_at) == 50


def test_many_listed_objects(tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    names = [f"crawl/segment-{number % 7}/{number:03d}.warc.gz" for number in range(100)]
    for name in names:
        files.pipe(f"/cc/{name}", b"x")
    (tmp_path / "warc.paths.gz").write_bytes(gzip.compress("\n".join(reversed(names)).encode()))
    config = IngestConfig(input_files=(str(tmp_path / "warc.paths.gz"),), input_prefix="memory://cc/")
    assert [file.path for file in list_inputs(config).files] == sorted(f"memory:///cc/{name}" for name in names)
    files.rm(f"/cc/{names[50]}")
    with pytest.raises(InputError, match=rf"ingest input 'memory://cc/{names[50]}' does not exist"):
        list_inputs(config)
    files.rm("/cc", recursive=True)


def test_what_is_wrong_with_a_list_is_said(folder: Path, tmp_path: Path) -> None:
    def listing(content: bytes) -> IngestConfig:
        (tmp_path / "list").write_bytes(content)
        return IngestConfig(input_files=(str(tmp_path / "list"),), input_prefix=str(folder))

    for content, sentence in (
        (b"# nothing\n\n", "names no file"),
        (gzip.compress(b"a.jsonl\n" * 1000)[:-20], "cannot be read to its end"),
        (b"a" * 100_000, "is no list of one path a line"),
        (b"PAR1\0\0\0", "is no list of one path a line"),
        (b"no/such.jsonl\n", "does not exist"),
        (b"a.jsonl\ncaf\xe9.jsonl\n", r"line 2 of .*list, of ingest.input_files, is not UTF-8: b'caf\\xe9"),
    ):
        with pytest.raises(InputError, match=sentence):
            list_inputs(listing(content))
    with pytest.raises(SettingError, match=r"ingest.input_prefix is 's3://x/', and ingest.input_files is empty"):
        IngestConfig(inputs=("a",), input_prefix="s3://x/")


def test_files_of_unknown_kind_are_counted_with_an_example(folder: Path) -> None:
    (folder / "rows.xlsx").write_bytes(b"PK")
    (folder / "README.md").write_text("# Data\n")  # a card beside data: passed over, and of a known kind
    inputs = list_inputs(IngestConfig(inputs=(str(folder),)))
    assert (inputs.num_passed_over, inputs.num_unknown, inputs.unknown) == (3, 2, str(folder / "c.cdx"))
