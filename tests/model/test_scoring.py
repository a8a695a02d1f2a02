"""Probabilities of continuations, multiple choice, and the lm-evaluation-harness on local tasks."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from model.config import ModelConfig
from model.export import export_model
from model.questions import Question, are_completions, questions_of, with_shots
from model.scoring import Continuation, completion_accuracy, encode_pair, ranking_accuracy, score_continuations
from model.transformer import Transformer
from pipeline.errors import DataError
from pipeline.jsonl import read_records


class Bytes:
    """A tokenizer whose ids are bytes; 0 ends a document."""

    end_of_text_id = 0

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return bytes(ids)


def tiny(context: int = 64) -> Transformer:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "ffn_size": 48, "initial_std": 0.3}
    return Transformer(ModelConfig(**shape).architecture(vocab_size=256, context_length=context)).eval()  # type: ignore[arg-type]


def slowly(model: Transformer, context: list[int], continuation: list[int]) -> Continuation:
    """One token at a time."""
    tokens, nats, greedy = list(context), 0.0, True
    for token in continuation:
        logs = model(torch.tensor([tokens[-model.architecture.context_length :]]))[0, -1].log_softmax(-1)
        nats += logs[token].item()
        greedy &= int(logs.argmax()) == token
        tokens.append(token)
    return Continuation(nats, greedy)


@pytest.mark.parametrize("batch_tokens", [1, 50, 10_000])
def test_continuations_are_scored_token_by_token(batch_tokens: int) -> None:
    model = tiny()
    pairs = [([0, 5], [7, 9]), ([0], [3]), ([0, *range(1, 30)], [8, 8, 8]), ([0, 5], []), ([0, 1, 2], [44] * 10)]
    likeliest = int(model(torch.tensor([[0, 9]]))[0, -1].argmax())
    pairs.append(([0, 9], [likeliest]))
    scores = score_continuations(model, pairs, batch_tokens=batch_tokens)
    for score, (context, continuation) in zip(scores, pairs, strict=True):
        expected = slowly(model, list(context), list(continuation))
        assert score.nats == pytest.approx(expected.nats, abs=1e-4)
        assert score.greedy == expected.greedy
    assert scores[-1].greedy


def test_spaces_go_to_the_continuation() -> None:
    context, continuation = encode_pair(Bytes(), "one  ", "two")
    assert (bytes(context), bytes(continuation)) == (b"\0one", b"  two")


def test_questions_of_every_shape() -> None:
    records = [
        {"query": "Q: ", "choices": ["a", "b"], "gold": 1},
        {"ctx": "He", "endings": ["runs.", "sits."], "label": 0},
        {"context_options": ["Sarah", "Maria"], "continuation": "won.", "gold": 1},
        {"goal": "Go", "sol1": "up.", "sol2": "down.", "label": 1},
        {"sentence": "Ann beat Eve, so _ won.", "option1": "Ann", "option2": "Eve", "answer": "1"},
        {"question": "1+1?", "choices": ["1", "2"], "answer": 1},
        {"question": "1+1?", "choices": ["1", "2"], "answer": "B"},
        {"question_stem": "1+1?", "choices": {"text": ["1", "2"], "label": ["X", "Y"]}, "answerKey": "Y"},
        {"question": {"stem": "1+1?", "choices": [{"text": "2", "label": "1"}]}, "answerKey": "1"},
    ]
    questions = questions_of(records, "here")
    assert questions[0].options == (("Q:", " a"), ("Q:", " b"))
    assert questions[1].options == (("He", " runs."), ("He", " sits."))
    assert questions[2].options == (("Sarah", " won."), ("Maria", " won."))
    assert questions[3].options == (("Question: Go\nAnswer:", " up."), ("Question: Go\nAnswer:", " down."))
    assert questions[4].options == (("Ann beat Eve, so Ann", " won."), ("Ann beat Eve, so Eve", " won."))
    asked = "Question: 1+1?\nAnswer:"
    assert [each.options for each in questions[5:8]] == [((asked, " 1"), (asked, " 2"))] * 3
    assert questions[8].options == ((asked, " 2"),)
    assert [question.gold for question in questions] == [1, 0, 1, 1, 0, 1, 1, 1, 0]


def test_texts_to_complete() -> None:
    records = [{"context": "The sea is ", "continuation": "deep"}, {"text": "He opened the old\n door"}]
    questions = questions_of(records, "here")
    assert [question.options for question in questions] == [
        (("The sea is", " deep"),),
        (("He opened the old", " door"),),
    ]
    assert are_completions(questions)
    assert not are_completions(questions_of([*records, {"query": "?", "choices": ["a", "b"], "gold": 0}], "here"))


def test_completions_are_right_if_each_token_is_the_likeliest() -> None:
    model = tiny()
    model_says = int(model(torch.tensor([[0, *b"ab"]]))[0, -1].argmax())
    asked = [
        Question(options=(("ab", chr(model_says)),), gold=0),
        Question(options=(("ab", chr(model_says) + "~~"),), gold=0),
    ]
    scores = completion_accuracy(model, Bytes(), asked)
    nats = [slowly(model, [0, *b"ab"], list(question.options[0][1].encode())).nats for question in asked]
    assert (scores["questions"], scores["accuracy"]) == (2, 0.5)
    assert scores["perplexity"] == pytest.approx(math.exp(-sum(nats) / 2), rel=1e-4)
    assert scores["bits_per_byte"] == pytest.approx(-sum(nats) / 4 / math.log(2), rel=1e-4)


def test_shots_are_other_questions_with_their_answers() -> None:
    records = [{"query": f"What is {n}+1?", "choices": [str(n + 1), "no"], "gold": 0} for n in range(5)]
    questions = questions_of(records, "here")
    shown = with_shots(questions, 2)
    assert shown == with_shots(questions, 2)
    for question, with_examples in zip(questions, shown, strict=True):
        *examples, asked = with_examples.options[0][0].split("\n\n")
        assert asked == question.options[0][0]
        assert len(set(examples)) == 2
        assert set(examples) <= {other.solved for other in questions} - {question.solved}
        assert [text for _, text in with_examples.options] == [text for _, text in question.options]
    assert with_shots(questions, 0) == questions == with_shots(questions, 0)
    assert with_shots(questions[:1], 3) == questions[:1]
    assert with_shots(questions, 9)[0].options[0][0].count("\n\n") == 4


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ({"question": "?"}, "here, record 1 is not"),
        ({"query": "?", "choices": ["a", "b"], "gold": 2}, "record 1 calls option 2 right, and has 2 options"),
        ({"query": "?", "choices": ["a", "b"], "gold": -1}, "calls option -1 right"),
        ({"query": "?", "choices": [], "gold": 0}, "has 0 options"),
        ({"query": "?", "choices": [1, 2], "gold": 0}, "here, record 1 is not"),
        ({"question": "?", "choices": ["a", "b"], "answer": "Z"}, "calls option 25 right"),
        ({"question": "?", "choices": ["a", "b"], "answer": "no"}, "here, record 1 is not"),
        ({"context": "a"}, "here, record 1 is not a multiple-choice question, .* nor a text to complete"),
        ({"text": "word"}, "here, record 1 is not"),
        ({"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"}, "here, record 1 is not"),
    ],
)
def test_a_record_that_is_no_question_is_named(record: dict[str, object], named: str) -> None:
    with pytest.raises(DataError, match=named):
        questions_of([record], "here")


def test_accuracies_are_by_probability_and_by_probability_over_length() -> None:
    words = ["a", "longer words", "ein längeres", "日本"]
    records = [{"query": f"{n}:", "choices": words, "gold": n % 4} for n in range(16)]
    model, questions = tiny(), questions_of(records, "here")
    scores = ranking_accuracy(model, Bytes(), questions)
    for name, length in (
        ("accuracy", lambda text: 1),
        ("accuracy_by_characters", lambda text: len(text) - 1),
        ("accuracy_by_bytes", lambda text: len(text.encode()) - 1),
        ("accuracy_by_tokens", lambda text: len(text.encode())),
    ):
        right = 0
        for question in questions:
            nats = [slowly(model, *encode_pair(Bytes(), *each)).nats / length(each[1]) for each in question.options]
            right += nats.index(max(nats)) == question.gold
        assert scores[name] == right / 16


def test_every_shared_question_is_read(shared_data: Path) -> None:
    """Sets of several thousand questions as others hand them round: the right option is always one of those there."""
    counts = json.loads((shared_data / "eval/counts.json").read_text())
    for name in ("llmfoundry/winogrande", "llmfoundry/arc_easy", "llmfoundry/piqa", "llmfoundry/boolq"):
        path = str(shared_data / f"eval/{name.replace('/', '__')}.jsonl.zst")
        assert len(questions_of(read_records(path), name)) == counts[name]


CHOICE = """
task: local_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/choice.jsonl}}}}
output_type: multiple_choice
test_split: test
doc_to_text: query
doc_to_choice: choices
doc_to_target: gold
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
ROLLING = """
task: local_rolling
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/texts.jsonl}}}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: text
metric_list: [{{metric: bits_per_byte}}, {{metric: word_perplexity}}]
"""
UNTIL = """
task: local_until
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/choice.jsonl}}}}
output_type: generate_until
test_split: test
doc_to_text: query
doc_to_target: "{{{{choices[gold]}}}}"
generation_kwargs: {{until: ["\\x10"], max_gen_toks: 12}}
metric_list: [{{metric: exact_match}}]
"""


@pytest.mark.slow
def test_the_harness_gives_the_scores_of_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setitem(os.environ, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed: the harness is not compared")
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from model.harness import HarnessModel

    records = [{"query": f"item {n} is", "choices": ["red", "very blue", "green"], "gold": n % 3} for n in range(12)]
    texts = ["a short text", "a longer text, longer than the context of the model: " + "so many words " * 12]
    (tmp_path / "choice.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for task in (CHOICE, ROLLING, UNTIL):
        name = task.split()[1]
        (tmp_path / f"{name}.yaml").write_text(task.format(folder=tmp_path))

    # A byte-level tokenizer whose ids are bytes plus one; 0 ends a document.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0} | {symbol: number for number, symbol in enumerate(alphabet, start=1)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )

    class Codec:
        end_of_text_id = 0

        def encode(self, text: str) -> list[int]:
            return list(tokenizer.encode(text).ids)

        def decode_bytes(self, ids: Sequence[int]) -> bytes:
            return str(tokenizer.decode(list(ids))).encode()

    shape = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "ffn_size": 48, "initial_std": 0.3}
    torch.manual_seed(0)
    model = Transformer(ModelConfig(**shape).architecture(vocab_size=257, context_length=64)).eval()  # type: ignore[arg-type]
    export_model(model, str(tmp_path / "hf"), end_of_text_id=0)
    fast.save_pretrained(tmp_path / "hf")
    # With add_bos_token HFLM begins a rolling text with the prefix and again with the token; without, other contexts lack it.
    options = {
        "pretrained": str(tmp_path / "hf"),
        "device": "cpu",
        "batch_size": 1,
        "max_length": 64,
        "dtype": "float32",
    }
    theirs = {"local_rolling": HFLM(**options, add_bos_token=False)}
    theirs["local_choice"] = theirs["local_until"] = HFLM(**options, add_bos_token=True)
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    ranked = ranking_accuracy(model, Codec(), questions_of(records, "here"))
    for name, other in theirs.items():
        results = [
            lm_eval.simple_evaluate(model=lm, tasks=[name], task_manager=manager, bootstrap_iters=0, log_samples=True)
            for lm in (HarnessModel(model, Codec()), other)
        ]
        for metric, value in results[1]["results"][name].items():
            if isinstance(value, float) and not math.isnan(value) and "stderr" not in metric:
                assert results[0]["results"][name][metric] == pytest.approx(value, rel=1e-5), (name, metric)
        ours, others = ([sample["filtered_resps"] for sample in result["samples"][name]] for result in results)
        if name == "local_until":
            assert ours == others
        if name == "local_choice":
            assert ranked["accuracy"] == results[1]["results"][name]["acc,none"]
            assert ranked["accuracy_by_characters"] == results[1]["results"][name]["acc_norm,none"]
