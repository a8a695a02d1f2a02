"""What can be told of the settings before any work: what is wrong there must not end a run after hours.

For each stage, what it will want: files that are there and can be read, numbers that divide, functions that can be
imported. The checks are cheap, and load no Beam or torch. What only the data can tell, the stages check
themselves, before anything is deleted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from model.hf_config import weight_files
from pipeline import storage
from pipeline.errors import CorpusmillError, InputError, SettingError
from pipeline.jsonl import read_records
from pipeline.model_files import is_download
from pipeline.places import join
from pipeline.steps import error_of, kind_of

if TYPE_CHECKING:
    from jobs.config import RunConfig

Problems = Iterator[CorpusmillError]


def check(config: "RunConfig", stages: Sequence[str]) -> None:
    """Nothing, if what the settings say of `stages` can be used as far as is known yet.

    Raises:
        SettingError: a value is wrong.
        InputError: a file that a setting names cannot be read.
        DataError: it holds something else. Of several problems all are said at once.
    """
    problems = [problem for stage in stages for each in CHECKS.get(stage, ()) for problem in _problems(each, config)]
    if len(problems) == 1:
        raise problems[0]
    if problems:
        worst = next((each for each in problems if isinstance(each, SettingError)), problems[0])
        said = "; ".join(f"({number}) {problem}" for number, problem in enumerate(problems, 1))
        raise error_of(kind_of(worst), f"{len(problems)} settings cannot be used: {said}")


def _problems(each: Callable[["RunConfig"], Problems], config: "RunConfig") -> Problems:
    try:
        yield from each(config)
    except CorpusmillError as error:
        yield error


def _of_setting(name: str, look: Callable[..., object], *values: object) -> Problems:
    """What `look` at `values` finds wrong, with the name of the setting that it is about."""
    try:
        look(*values)
    except CorpusmillError as error:
        said = str(error)
        yield error if name in said else error_of(kind_of(error), f"{name}: {said}")


def _readable(setting: str, path: str) -> Problems:
    yield from _of_setting(setting, lambda: storage.open_read(path).close())


# --- stages -------------------------------------------------------------------------------------------


def _pages(config: "RunConfig") -> Problems:
    if not config.crawls and not config.ingests:
        yield SettingError("there are no pages to begin with: set crawl.seeds (or crawl.seed_files) or ingest.inputs")


def _address_lists(config: "RunConfig") -> Problems:
    urls = config.filter.urls
    for setting, paths in (("word_files", urls.word_files), ("soft_word_files", urls.soft_word_files)):
        for path in paths:
            yield from _readable(f"filter.urls.{setting}", path)
    for path in urls.lists:
        if not storage.exists(path):
            yield InputError(f"filter.urls.lists: no such folder or file: {path}")


def _bad_words(config: "RunConfig") -> Problems:
    from pipeline.filter.bad_words import BadWords

    if config.filter.c4.bad_words:
        yield from _of_setting("filter.c4.bad_words", BadWords, config.filter.c4.bad_words)


def _classifiers(config: "RunConfig") -> Problems:
    from pipeline.filter.classifiers import models_beside
    from pipeline.filter.decisions import MODELS

    for name, chosen in (("spam", config.filter.spam), ("toxicity", config.filter.toxicity)):
        folder = chosen.model or MODELS
        for model in (name, *models_beside(folder, name)) if chosen.on else ():
            yield from _model(f"filter.{name}.model", folder, model)


def _quality(config: "RunConfig") -> Problems:
    from pipeline.filter import sequence_classifier
    from pipeline.filter.quality import NAME, check_trained

    quality = config.filter.quality
    if not quality.model or is_download(quality.model):
        return
    if quality.is_file:
        yield from _readable("filter.quality.model", quality.model)
    elif sequence_classifier.is_sequence_classifier(quality.model):
        if find_spec("transformers") is None:
            yield InputError(
                f"filter.quality.model needs transformers, which is not installed: {sequence_classifier.EXTRA}"
            )
        yield from _of_setting("filter.quality", sequence_classifier.read_card, quality)
    else:
        check_trained(quality)
        yield from _model("filter.quality.model", quality.model, NAME)


def _model(setting: str, folder: str, name: str) -> Problems:
    from pipeline.filter.classifiers import SUFFIXES, kind_of, read_card

    def look() -> None:
        card = read_card(folder, name)
        storage.open_read(join(folder, f"{name}.{SUFFIXES[kind_of(card)]}")).close()

    yield from _of_setting(setting, look)


def _own_functions(config: "RunConfig") -> Problems:
    from pipeline.filter.own import load_functions

    for name, own in config.filter.own.items():
        yield from _of_setting(f"filter.own.{name}", load_functions, {name: own})


def _perplexity(config: "RunConfig") -> Problems:
    from pipeline.filter.perplexity import EXTRA

    for language, model in config.filter.perplexity.items():
        for name, path, package in (("model", model.model, "kenlm"), ("tokenizer", model.tokenizer, "sentencepiece")):
            setting = f"filter.perplexity.{language}.{name}"
            if path and find_spec(package) is None:
                yield InputError(f"{setting} needs {package}, which is not installed: {EXTRA}")
            if path and not is_download(path):
                yield from _readable(setting, path)


def _signatures(config: "RunConfig") -> Problems:
    if config.dedup.against:
        from pipeline.dedup.index import index_files

        yield from _of_setting("dedup.against", index_files, config.dedup.against, config.dedup)


def _evaluation_sets(config: "RunConfig") -> Problems:
    for path in config.dedup.decontaminate.sets:
        yield from _of_setting("dedup.decontaminate.sets", _read_all, path)


def _read_all(path: str) -> None:
    for _ in read_records(path):
        pass


def _tokenizers(config: "RunConfig") -> Problems:
    from jobs.train_tokenizer import existing_tokenizer
    from pipeline.pack.encoder import open_encoder

    chosen = config.tokenizer
    if chosen.existing:
        yield from _of_setting("tokenizer.existing", existing_tokenizer, chosen, config.count.pattern)
    if chosen.compare_with:
        yield from _of_setting("tokenizer.compare_with", open_encoder, chosen.compare_with)


def _rows(config: "RunConfig") -> Problems:
    yield from _of_setting(
        "train.batch_tokens", config.train.rows, config.pack.sequence_length, config.train.processes or 1
    )


def _held_out(config: "RunConfig") -> Problems:
    if not (config.pack.heldout_share if config.pack.heldout_documents is None else config.pack.heldout_documents):
        name = "share" if config.pack.heldout_documents is None else "documents"
        yield SettingError(f"pack.heldout_{name} is 0, which leaves no text to evaluate on; allowed is more than 0")


def _model_settings(config: "RunConfig") -> Problems:
    yield from _of_setting("model.causal", config.model.check_trainable)


def _start(config: "RunConfig") -> Problems:
    folder = config.train.start_from
    if folder:
        yield from _of_setting("train.start_from", config.train.check_start, config.run.folder)
        for path in (join(folder, "config.json"), *weight_files(folder)):
            yield from _readable("train.start_from", path)


def _tensorboard(config: "RunConfig") -> Problems:
    if config.train.tensorboard and find_spec("tensorboard") is None:
        yield InputError("train.tensorboard is set, but tensorboard is not installed: pip install tensorboard")


def _questions(config: "RunConfig") -> Problems:
    for path in config.evaluate.questions:
        yield from _of_setting("evaluate.questions", _read_questions, path)


def _read_questions(path: str) -> None:
    from model.questions import questions_of

    questions_of(read_records(path), path)


WHOLE = "whole"
# By the name of the job that will want it; `WHOLE` is what only concerns who runs one job after the other.
CHECKS: Mapping[str, tuple[Callable[["RunConfig"], Problems], ...]] = {
    WHOLE: (_pages, _rows, _held_out),
    "curate": (
        _address_lists,
        _bad_words,
        _classifiers,
        _quality,
        _perplexity,
        _own_functions,
        _signatures,
        _evaluation_sets,
    ),
    "decontaminate": (_evaluation_sets,),
    "train_tokenizer": (_tokenizers,),
    "train": (_model_settings, _start, _tensorboard),
    "evaluate": (_questions,),
}
