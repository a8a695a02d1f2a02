"""Texts that break deduplicators: empty, one word, all the same, without spaces, mixed scripts, other Unicode forms."""

import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.dedup.config import DedupConfig
from pipeline.dedup.passages_config import PassagesConfig
from pipeline.dedup.shingles import shingle_hashes
from pipeline.manifests import Manifest
from pipeline.records import Document, page_id
from pipeline.tables import read_rows

MakeRun = Callable[..., str]
Deduplicate = Callable[..., Manifest]

CHINESE = "人工智能正在改变我们的生活方式它可以帮助医生诊断疾病也可以帮助教师备课但是我们仍然需要思考它带来的问题"
THAI = "ประเทศไทยเป็นประเทศที่อยู่ในภูมิภาคเอเชียตะวันออกเฉียงใต้มีกรุงเทพมหานครเป็นเมืองหลวงและมีประชากรมาก"
VIETNAMESE = "Việt Nam là một quốc gia nằm ở cực đông của bán đảo Đông Dương thuộc khu vực Đông Nam Á " * 3
KOREAN = "대한민국은 동아시아의 한반도 남부에 위치한 나라이며 수도는 서울이고 많은 사람들이 그곳에서 살고 있다 " * 3
ARABIC = "اللغة العربية هي أكثر اللغات تحدثا ضمن مجموعة اللغات السامية وإحدى أكثر اللغات انتشارا في العالم " * 3


def run_of(make_run: MakeRun, texts: list[str], *, per_part: int = 3) -> str:
    documents = [Document(id=page_id(f"http://h/{n}", b""), url=f"http://h/{n}", text=t) for n, t in enumerate(texts)]
    return make_run(documents, per_part=per_part)


def survivors(run: str) -> list[str]:
    return [row["text"] for path in sorted(Path(run, "documents").glob("*.parquet")) for row in read_rows(str(path))]


def reasons(run: str) -> Counter[str]:
    folder = Path(run, "rejected/dedup")
    return Counter(row["reason"] for path in folder.glob("*.parquet") for row in read_rows(str(path)))


@pytest.mark.parametrize(
    "texts",
    [
        [""] * 9,
        [" ", "\n", "\t\r\n", "\u00a0", "\u200b", "\ufeff", "\u00ad"],  # nothing that is seen
        ["word"] * 9,
        [CHINESE] * 7,
        [VIETNAMESE, unicodedata.normalize("NFD", VIETNAMESE), unicodedata.normalize("NFKD", VIETNAMESE)],
        [KOREAN, unicodedata.normalize("NFD", KOREAN)],  # syllables, or the letters that they are made of
        ["ﬁnal oﬃce １２３ ｘ²", unicodedata.normalize("NFKC", "ﬁnal oﬃce １２３ ｘ²")],
        [ARABIC, unicodedata.normalize("NFD", ARABIC)],
        ["Straße ΣΊΣΥΦΟΣ", "STRASSE σίσυφος"],
        ["ヴァイオリンとピアノ", unicodedata.normalize("NFD", "ヴァイオリンとピアノ"), "ｳﾞｧｲｵﾘﾝとﾋﾟｱﾉ"],
    ],
    ids=[
        "empty",
        "unseen",
        "one word",
        "one text",
        "Vietnamese",
        "Korean",
        "compatibility",
        "Arabic",
        "case",
        "Japanese",
    ],
)
def test_one_of_equal_texts_stays(make_run: MakeRun, in_this_process: Deduplicate, texts: list[str]) -> None:
    run = run_of(make_run, texts)
    counts = in_this_process(run).counts
    assert (counts["read"], counts["kept"]) == (len(texts), 1)
    assert reasons(run) == {"exact_duplicate": len(texts) - 1}


@pytest.mark.parametrize("script", [CHINESE, THAI, VIETNAMESE, KOREAN, ARABIC], ids=["zh", "th", "vi", "ko", "ar"])
def test_near_copies_are_found_in_any_script(make_run: MakeRun, in_this_process: Deduplicate, script: str) -> None:
    other = " ".join(f"word{n}" for n in range(60))
    run = run_of(make_run, [script, script + "。 " + script[:3], other], per_part=1)
    in_this_process(run, DedupConfig(threshold=0.6))
    assert len(survivors(run)) == 2
    assert reasons(run) == {"near_duplicate": 1}


def test_different_one_word_documents_stay(make_run: MakeRun, in_this_process: Deduplicate) -> None:
    texts = [f"word{number}" for number in range(20)] + ["中", "文", "😀", "!", "?", "1", "2"]
    run = run_of(make_run, texts)
    assert in_this_process(run).counts["kept"] == len(texts)
    assert survivors(run) == texts


def test_half_of_a_text_in_another_script(make_run: MakeRun, in_this_process: Deduplicate) -> None:
    """On both sides of the line where a document's shingles change from words to characters, nothing is lost."""
    mixed = [CHINESE[:n] + " " + " ".join(f"word{w}" for w in range(20)) for n in (10, 19, 20, 21, 40)]
    run = run_of(make_run, [*mixed, *mixed])
    counts = in_this_process(run, DedupConfig(threshold=1.0)).counts
    assert counts["rejected/dedup/exact_duplicate"] == counts["kept"] == len(mixed)


def test_a_million_identical_lines(make_run: MakeRun, in_this_process: Deduplicate) -> None:
    """One shingle in a million places; a near copy of it; and as repeated passages."""
    many = "the same line of words again\n" * 1_000_000
    run = run_of(make_run, [many, many + "and an end", "something else"])
    config = DedupConfig(threshold=0.6, passages=PassagesConfig(action="count", min_documents=2))
    assert in_this_process(run, config).counts["kept"] == 2  # six shingles, and nine
    assert np.unique(shingle_hashes(many)).size == 6


def test_two_giants_around_one_template(make_run: MakeRun, in_this_process: Deduplicate) -> None:
    """More documents in hot bands than a bucket compares all with all: near copies among them are still found."""
    shared = [f"shared{n}" for n in range(100)]
    texts = [" ".join([*shared, *(f"own{n}x{w}" for w in range(80))]) for n in range(300)]
    copies = [text.replace("x7 ", "y7 ") for text in texts[:100]]
    run = run_of(make_run, texts + copies, per_part=100)
    counts = in_this_process(run, DedupConfig(max_bucket=8)).counts
    assert counts["kept"] <= 300 + 2
    assert counts["candidate_pairs"] < 400 * 2 * 16 * 28 / 4
