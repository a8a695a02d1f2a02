"""Scores the model of a run on held-out text: RUN/model + RUN/shards → RUN/evaluation.

`scores.json` holds loss, perplexity, bits per byte and accuracy of the trained model, in all and by
source, the same of n-gram models counted on the training rows (the baselines), and samples of text.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from jobs.engine import Engine
from jobs.progress import Progress
from jobs.settings import plain
from jobs.summary import answered
from model.arpa import write_arpa
from model.batch import Batch
from model.batches import Batches
from model.checkpoint import load_model
from model.completion import complete
from model.evaluate_config import EvaluateConfig
from model.evaluator import Evaluator, document_stream, ngram_scores, token_bytes, verdict
from model.ngram import Ints, NgramModel, count_ngrams
from model.questions import Question, are_completions, questions_of, with_shots
from model.rows import ScoredRows, heldout_rows
from model.scoring import completion_accuracy, ranking_accuracy
from model.transformer import Transformer
from pipeline import manifests, storage
from pipeline.atomic import AtomicFile, FileEntry
from pipeline.errors import DataError
from pipeline.jsonl import read_records
from pipeline.manifests import Manifest, dataset_files
from pipeline.pack.shards import ShardSet
from pipeline.places import join
from pipeline.steps import Receipt, Step, content_of, write_receipt
from pipeline.tables import read_rows
from tokenizer.encoding import Encoder, load_encoder

if TYPE_CHECKING:
    from jobs.config import RunConfig

EVALUATION = "evaluation"
SCORES = "scores.json"
ARPA = "ngram.arpa"


def main(config: "RunConfig", engine: Engine | None = None, *, force: bool = False) -> Manifest:
    """The manifest of RUN/evaluation, made now unless it is up to date. Beam has no part in it."""
    return evaluate_run(config.run.folder, config.evaluate, within_documents=config.train.within_documents, force=force)


def evaluate_run(run: str, config: EvaluateConfig, *, within_documents: bool = True, force: bool = False) -> Manifest:
    """As `main`, for the run in folder `run`."""
    inputs = {name: join(run, name) for name in ("model", "shards", "tokenizer")}
    settings = {"evaluate": plain(config), "within_documents": within_documents}
    step = Step(
        run=run, name=EVALUATION, outputs=(EVALUATION,), settings=settings, inputs=inputs,
        external={path: storage.checksum(path)[0] for path in config.questions}, versions={"torch": torch.__version__},
    )  # fmt: skip
    if not force and step.is_current():
        Progress.note("evaluate: up to date")
        return manifests.read_manifest(step.folder(EVALUATION))
    check_tokenizer(run)
    questions = {
        path: questions_of(read_records(path), path) for path in config.questions
    }  # what is wrong there is said first
    scores, ngram = _scores(run, config, questions, within_documents=within_documents)
    step.begin(force=force)  # nothing that settings and inputs can get wrong comes after this
    entries = [_write_arpa(run, ngram)] if ngram else []
    for line in verdict(scores):
        Progress.note(f"evaluate: {line}")
    entries.append(storage.write_json(join(step.folder(EVALUATION), SCORES), scores))
    counts = {"labels": scores["heldout"]["labels"], "bytes": scores["heldout"]["bytes"]}
    write_receipt(step.attempt_folder, Receipt(shard=EVALUATION, files={EVALUATION: tuple(entries)}, counts=counts))
    return step.commit([EVALUATION])


def check_tokenizer(run: str) -> None:
    """Raises DataError if the model of a run was trained with another tokenizer than the one that lies beside it."""
    model = join(run, "model")
    if not storage.exists(join(model, manifests.MANIFEST)):
        return  # still in training
    trained_with = manifests.read_manifest(model).inputs.get("tokenizer")
    if trained_with not in (None, content_of(manifests.read_manifest(join(run, "tokenizer")))):
        raise DataError(f"{model} was trained with another tokenizer than {join(run, 'tokenizer')}; train it again")


def _scores(
    run: str,
    config: EvaluateConfig,
    questions: Mapping[str, Sequence[Question]],
    *,
    within_documents: bool,
) -> tuple[dict[str, Any], NgramModel | None]:
    """What `scores.json` holds, and the longest of the counting models where a file of it is wanted."""
    encoder = load_encoder(join(run, "tokenizer", "tokenizer.json"))
    model = load_model(join(run, "model"))
    bytes_of = token_bytes(encoder.decode_bytes, encoder.vocab_size, encoder.specials.values())
    evaluator = Evaluator(config, bytes_of, within_documents=within_documents)
    tallies = evaluator.scores(model, _heldout(run, config))
    baselines, ngram = _baselines(run, config, bytes_of)
    scores = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        **tallies.scores(),
        **baselines,
        **_answers(model, encoder, config, questions),
        "samples": _samples(model, encoder, config),
    }
    return scores, ngram


def _answers(
    model: Transformer, encoder: Encoder, config: EvaluateConfig, questions: Mapping[str, Sequence[Question]]
) -> dict[str, dict[str, dict[str, float]]]:
    """How well the questions of each file are answered, by the kind of file."""
    found: dict[str, dict[str, dict[str, float]]] = {"multiple_choice": {}, "completions": {}}
    for path, asked in questions.items():
        kind, measure = ("completions", completion_accuracy) if are_completions(asked) else ("multiple_choice", ranking_accuracy)  # fmt: skip
        shown = with_shots(asked, config.num_shots)
        scores = measure(model, encoder, shown, batch_tokens=config.batch_tokens)
        if kind == "multiple_choice":
            scores["by_chance"] = sum(1 / len(question.options) for question in asked) / max(1, len(asked))
        found[kind][path] = scores
        Progress.note(f"evaluate: {path}: {answered(scores)}")
    return found


def _heldout(run: str, config: EvaluateConfig) -> Iterator[ScoredRows]:
    shards = ShardSet.open(join(run, "shards"), "heldout")
    length = shards.spec.sequence_length
    max_rows = None if config.max_tokens is None else -(-config.max_tokens // length)
    yield from heldout_rows(
        shards, _languages(run), batch_rows=max(1, config.batch_tokens // length), max_rows=max_rows
    )
    shards.close()


def _languages(run: str) -> dict[str, str]:
    """The language of each document, where the documents are still there."""
    folder = join(run, "documents")
    if not storage.exists(join(folder, manifests.MANIFEST)):
        return {}
    return {row["id"]: row["language"] for path in dataset_files(folder) for row in read_rows(path, ["id", "language"])}


def _train_batches(run: str, config: EvaluateConfig) -> Iterator[Batch]:
    """The training rows in order, up to about as many positions as the baselines count."""
    batches = Batches.once(join(run, "shards"), "train", batch_rows=1)
    batches.batch_rows = max(1, config.batch_tokens // batches.sequence_length)
    taken = 0
    while taken < config.ngram_tokens and (batch := batches.next_batch()) is not None:
        yield batch
        taken += batch.inputs.numel()
    batches.close()


def _baselines(run: str, config: EvaluateConfig, bytes_of: Ints) -> tuple[dict[str, Any], NgramModel | None]:
    if not config.ngram_order:
        return {"ngram": {}, "ngram_tokens": 0}, None
    train = document_stream(_train_batches(run, config))
    heldout = document_stream(_heldout(run, config))
    orders = count_ngrams(*train, order=config.ngram_order, vocab_size=len(bytes_of))
    scores = ngram_scores(orders, heldout, bytes_of, config.ngram_smoothing)
    kept = NgramModel(orders, len(bytes_of), config.ngram_smoothing) if config.arpa else None
    return {"ngram": scores, "ngram_tokens": len(train[0])}, kept


def _write_arpa(run: str, model: NgramModel) -> FileEntry:
    """The counting model with the tokens as `tokenizer.json` spells them, which is without spaces."""
    path = join(run, "tokenizer", "tokenizer.json")
    names = {number: token for token, number in storage.read_json(path)["model"]["vocab"].items()}
    words = [names.get(token, f"<{token}>") for token in range(model.vocab_size)]
    with AtomicFile(join(run, EVALUATION, ARPA)) as file:
        write_arpa(model, words, load_encoder(path).end_of_text_id, file)
    return file.entry(num_records=0)


def _samples(model: Transformer, encoder: Encoder, config: EvaluateConfig) -> list[dict[str, str]]:
    prompts = list(config.sample_prompts) or [""]
    prompts = (prompts * config.num_samples)[
        : max(config.num_samples, len(config.sample_prompts) if config.num_samples else 0)
    ]
    texts = complete(model, encoder, prompts, config.sampling) if prompts else []
    return [{"prompt": prompt, "text": text} for prompt, text in zip(prompts, texts, strict=True)]
