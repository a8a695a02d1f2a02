"""How well a learned tokenizer compresses text that it has not seen; what the fertility report says of it."""

import json
from pathlib import Path

import numpy as np

from tokenizer.encoding import Encoder
from tokenizer.fertility import PieceTokens, totals, uses, vocabulary_use
from tokenizer.patterns import pattern_named
from tokenizer.splitting import Splitter
from tokenizer.training import WordCounts, learn
from tokenizer.writing import tokenizer_json

FLOORS = Path(__file__).parents[1] / "quality_floors.json"


def test_bytes_per_token_on_held_out_text(real_texts: list[str]) -> None:
    floors = json.loads(FLOORS.read_text())["tokenizer"]
    pattern = pattern_named("o200k")
    counts = Splitter(pattern).count(real_texts[::2])
    encoder = Encoder(
        tokenizer_json(learn(WordCounts.of(counts), vocab_size=8192, specials=("<|endoftext|>",)), pattern)
    )
    held_out = real_texts[1::2]
    num_tokens = sum(map(len, encoder.encode_batch(held_out)))
    bytes_per_token = sum(len(text.encode()) for text in held_out) / num_tokens
    assert bytes_per_token >= floors["held_out_bytes_per_token_8k"], bytes_per_token


def test_the_report_from_counts_equals_encoding_the_text(small_json: str, paragraphs: list[str]) -> None:
    """No text is read again, and nothing is lost by that."""
    encoder = Encoder(small_json)
    words = WordCounts.of(Splitter(pattern_named("o200k")).count(paragraphs))
    pieces = PieceTokens(encoder.value(), words, cut_by="o200k@1")
    figures = totals(pieces.sizes, np.diff(words.offsets), words.counts, sum(len(text.split()) for text in paragraphs))
    ids = np.concatenate(encoder.encode_batch(paragraphs))
    num_bytes = sum(len(text.encode()) for text in paragraphs)
    assert (figures["bytes"], figures["tokens"]) == (num_bytes, len(ids))
    assert figures["bytes_per_token"] == round(num_bytes / len(ids), 4)
    used = uses(pieces, words.counts, encoder.vocab_size)
    assert used.tolist() == np.bincount(ids, minlength=encoder.vocab_size).tolist()


def test_the_report_names_what_is_hardly_used(small_json: str) -> None:
    encoder = Encoder(small_json)
    used = np.full(encoder.vocab_size, 100, dtype=np.int64)
    learned = encoder.learned_ids()
    used[learned[3]], used[learned[4]] = 0, 5
    use = vocabulary_use(encoder, used)
    assert use["learned_tokens"] == len(learned) == 600 - 2 - 256
    assert (use["never_used_share"], use["hardly_used_share"]) == (round(1 / 342, 4), round(2 / 342, 4))
    assert [row["id"] for row in use["least_used"][:2]] == [learned[3], learned[4]]
    lengths = [len(encoder.token_bytes(row["id"])) for row in use["longest"]]
    assert lengths == sorted(lengths, reverse=True)


def test_a_tokenizer_of_another_pattern_cuts_again(small_json: str, paragraphs: list[str]) -> None:
    """Judged by a table of another pattern it gets, but for cuts at borders, the tokens that it gets on text."""
    encoder = Encoder(small_json)
    words = WordCounts.of(Splitter(pattern_named("gpt2")).count(["1234567 HTTPServer's x"]))
    pieces = PieceTokens(encoder.value(), words, cut_by="gpt2@1")
    whole = PieceTokens(encoder.value(), words, cut_by="o200k@1")
    number = next(place for place in range(len(words)) if words.data[words.offsets[place]] == ord("1"))
    cut = pieces.ids[pieces.bounds[number] : pieces.bounds[number + 1]].tolist()
    assert cut == encoder.encode("1234567")
    assert len(pieces.ids) >= len(whole.ids)
