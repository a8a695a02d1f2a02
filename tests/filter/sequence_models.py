"""Small sequence classifiers with random weights, saved as `transformers` saves them."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORDS = (
    "the",
    "old",
    "mill",
    "stood",
    "near",
    "a",
    "river",
    "proof",
    "of",
    "theorem",
    "click",
    "here",
    "now",
    "text",
    ".",
    "##s",
)
LABELS = ("High", "Medium", "Low")
# So large that the texts of a test differ in their scores by far more than they are rounded to.
_SPREAD = 0.6
_SHAPE = {"vocab_size": 4 + len(WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 24, "initializer_range": _SPREAD}  # fmt: skip


def bert(folder: Path, seed: int = 1, **more: Any) -> Path:
    """A regression by default, as FineWeb-Edu's classifier is one; reads 24 tokens."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(**{**_SHAPE, "num_labels": 1, **more})
    return _saved(BertForSequenceClassification, config, folder, seed)


def deberta(folder: Path, seed: int = 1, **more: Any) -> Path:
    """Three labels and relative positions alone, so it reads texts of any length."""
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    relative = {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"], "share_att_key": True, "position_biased_input": False, "type_vocab_size": 0}  # fmt: skip
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {label: each for each, label in enumerate(LABELS)}}
    config = DebertaV2Config(**{**_SHAPE, **relative, **labels, **more})
    return _saved(DebertaV2ForSequenceClassification, config, folder, seed)


def _saved(kind: Any, config: Any, folder: Path, seed: int) -> Path:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        kind(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_tokenizer(folder: Path, max_length: int | None = 24) -> None:
    """A WordPiece tokenizer that puts [CLS] and [SEP] around a text; published ones also hold how the last text was cut and filled."""
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS)
    tokenizer = Tokenizer(WordPiece({name: number for number, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(7)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(folder / "tokenizer.json"))
    stated = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    limit = {} if max_length is None else {"model_max_length": max_length}
    (folder / "tokenizer_config.json").write_text(json.dumps(stated | limit), "utf-8")


def texts(number: int, seed: int = 1) -> list[str]:
    """Texts of 1 to 60 words, some unknown, on lines."""
    chance = random.Random(seed)
    words = [*WORDS[:-1], "Zebra", "mills", "\n"]
    return [" ".join(chance.choices(words, k=chance.randint(1, 60))) for _ in range(number)]


def logits_of(folder: Path, batch: Sequence[str], **more: Any) -> list[list[float]]:
    """What the cards of published models do: the texts as one batch, filled to the longest, cut at the model's length."""
    import torch
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    given = tokenizer(list(batch), return_tensors="pt", padding="longest", truncation=True, **more)
    with torch.no_grad():
        found: list[list[float]] = model(
            input_ids=given["input_ids"], attention_mask=given["attention_mask"]
        ).logits.tolist()
    return found
