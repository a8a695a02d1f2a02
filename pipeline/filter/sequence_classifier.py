"""A sequence classifier in a folder as Hugging Face's `transformers` saves them: a text in, its score out.

FineWeb-Edu's classifier has one output, a regression: the score is that number as it is, of any size. A classifier with several
labels gives the probability (softmax) of the good ones, taken together. The text is cut at the length that the model reads,
with its special tokens around it, as the published cards do; it is otherwise as it stands.

Nothing in the folder is run, and no hub is asked: weights are read from safetensors alone, the tokenizer by `tokenizers`, and a
configuration that names code of its own is refused. A text is scored by itself, on one thread, in 32 bits, so its score depends on
nothing but the text, the model and the kind of processor. Kinds differ in the seventh place, as they add up in another
order, and scores are rounded to `_DECIMALS` places, so that few documents in a thousand differ between them.
"""

import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pipeline import storage
from pipeline.errors import InputError, SettingError
from pipeline.filter.config import QualityConfig
from pipeline.model_files import local_files
from pipeline.places import join

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
EXTRA = "pip install 'corpusmill[transformers]'"
# Whose results reach a score.
PACKAGES = ("transformers", "torch", "tokenizers")
_TOKENIZER = "tokenizer.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"  # says how long a text may be; not every folder has it
_HEAD = "ForSequenceClassification"
_DECIMALS = 4
_SHOWN_LABELS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a folder says of its classifier: the labels by the number of their output, and how many tokens it reads (0: not said)."""

    labels: tuple[str, ...]
    max_tokens: int
    cut_left: bool

    @property
    def is_regression(self) -> bool:
        """Whether the one output is the score itself."""
        return len(self.labels) == 1


def is_sequence_classifier(folder: str) -> bool:
    """Whether `folder` looks like one of `transformers`."""
    return any(storage.exists(join(folder, name)) for name in (CONFIG, WEIGHTS, _TOKENIZER))


def read_card(config: QualityConfig) -> Card:
    """What the folder of the settings says of its classifier, without loading it, if the settings fit.

    Raises:
        InputError: a file is missing, or the folder holds something else.
        SettingError: the settings name labels that there are not, or a score that is none.
    """
    folder = config.model
    stated = _read_json(folder, CONFIG)
    _check_kind(folder, stated)
    for name in (_TOKENIZER, WEIGHTS):
        _check_there(folder, name)
    tokenizer = _read_json(folder, _TOKENIZER_CONFIG) if storage.exists(join(folder, _TOKENIZER_CONFIG)) else {}
    lengths = (tokenizer.get("model_max_length"), stated.get("max_position_embeddings"))
    card = Card(
        labels=_labels(folder, stated),
        # A tokenizer without a limit states 1e30.
        max_tokens=min((int(each) for each in lengths if isinstance(each, int | float) and 0 < each < 1e9), default=0),
        cut_left=tokenizer.get("truncation_side") == "left",
    )
    _check_settings(config, card, stated.get("problem_type"))
    return card


def folder_sha256(folder: str) -> str:
    """What names the model in the fingerprint of a step: a hash of the files that are read of it."""
    digest = sha256()
    for name in _files(folder):
        digest.update(f"{name} {storage.checksum(join(folder, name))[0]}\n".encode())
    return digest.hexdigest()


class SequenceClassifier:
    """The loaded model. Not to be pickled: load it where it is used.

    Raises:
        SettingError: the settings do not fit it.
        InputError: a file is missing, damaged, or not the one that the settings name by hash; or a package is not installed.
    """

    def __init__(self, config: QualityConfig) -> None:
        card = read_card(config)
        self._torch = _import_torch()
        if config.sha256 and (found := storage.checksum(join(config.model, WEIGHTS))[0]) != config.sha256.lower():
            raise InputError(
                f"{config.model} is not the model that filter.quality.sha256 names: the SHA-256 of its {WEIGHTS} is {found}"
            )
        with local_files(config.model, _files(config.model)) as folder, self._one_thread():
            self._model = _load_model(folder, config.model)
            self._tokenizer = _load_tokenizer(folder, config.model)
        self._good = [card.labels.index(label) for label in config.labels]
        self._set_length(config, card)
        self._check_answer(config, card)

    def score(self, text: str) -> float:
        """The output of a regression, or the probability of the good labels, to `_DECIMALS` places; NaN of a text without tokens."""
        found = self._tokenizer.encode(text.encode("utf-8", "replace").decode())
        if not found.ids:
            return math.nan
        logits = self._logits(found.ids, found.type_ids).double()
        score = float(logits.softmax(0)[self._good].sum() if self._good else logits[0])
        return round(score, _DECIMALS) + 0.0  # no -0.0

    def _logits(self, ids: list[int], kinds: list[int]) -> Any:
        tensor = self._torch.tensor
        given = {"input_ids": tensor([ids]), "attention_mask": tensor([[1] * len(ids)])}
        if any(kinds):  # models that have none take no such argument; zeros are what the others assume
            given["token_type_ids"] = tensor([kinds])
        with self._torch.inference_mode(), self._one_thread():
            return self._model(**given).logits[0]

    @contextmanager
    def _one_thread(self) -> Iterator[None]:
        """A block in which torch has one thread; the setting is that of the process, so it goes back."""
        before = self._torch.get_num_threads()
        self._torch.set_num_threads(1)
        try:
            yield
        finally:
            self._torch.set_num_threads(before)

    def _set_length(self, config: QualityConfig, card: Card) -> None:
        length = config.max_tokens or card.max_tokens
        if not length:
            raise SettingError(
                f"filter.quality.max_tokens is 0, and {config.model} does not say how many tokens it reads; name a number"
            )
        special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        if length <= special:
            raise SettingError(
                f"filter.quality.max_tokens is {length}; {config.model} puts {special} special tokens around a text, so allowed is {special + 1} or more"
            )
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(length, direction="left" if card.cut_left else "right")

    def _check_answer(self, config: QualityConfig, card: Card) -> None:
        """Asks about a text that is too long, so that a length which the model cannot read is no error of every long document."""
        length = self._tokenizer.truncation["max_length"]
        found = self._tokenizer.encode("a text " * length)
        try:
            logits = self._logits(found.ids, found.type_ids)
        except (IndexError, RuntimeError) as error:
            raise SettingError(
                f"filter.quality.max_tokens is {config.max_tokens}, and {config.model} cannot read {length} tokens: {_reason(error)}"
            ) from None
        if logits.shape != (len(card.labels),) or not bool(logits.isfinite().all()):
            raise InputError(
                f"{config.model} is not a usable sequence classifier: it answers {logits.tolist()}, where {len(card.labels)} numbers are expected"
            )


# --- what a folder says -------------------------------------------------------------------------------


def _files(folder: str) -> list[str]:
    """The names of the files that are read of a folder."""
    optional = [_TOKENIZER_CONFIG] if storage.exists(join(folder, _TOKENIZER_CONFIG)) else []
    return [CONFIG, WEIGHTS, _TOKENIZER, *optional]


def _read_json(folder: str, name: str) -> Mapping[str, Any]:
    path = join(folder, name)
    try:
        found = json.loads(storage.read_bytes(path))
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} is damaged: it holds no object")
    return found


def _check_there(folder: str, name: str) -> None:
    pickled = name == WEIGHTS and storage.exists(join(folder, "pytorch_model.bin"))
    if pickled and not storage.exists(join(folder, name)):
        raise InputError(
            f"{folder} has its weights in pytorch_model.bin alone, which can run code when it is read; save the model as {WEIGHTS}"
        )
    storage.open_read(join(folder, name)).close()


def _check_kind(folder: str, stated: Mapping[str, Any]) -> None:
    """Refuses what would bring code of its own, or would get a head with random weights."""
    if stated.get("auto_map"):
        raise InputError(
            f"{join(folder, CONFIG)} names code of its own (auto_map), which is never run; only models that are part of transformers are read"
        )
    named = stated.get("architectures")
    named = named if isinstance(named, list) else []
    if not any(str(each).endswith(_HEAD) for each in named):
        raise InputError(
            f"{folder} is not a sequence classifier: its architectures are {', '.join(map(str, named)) or 'not named'}; expected is a name that ends with {_HEAD}"
        )


def _labels(folder: str, stated: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels in the order of the outputs; without names they are `LABEL_0` …, of which there are two unless it says otherwise."""
    number = stated.get("num_labels")
    unnamed = {str(each): f"LABEL_{each}" for each in range(number if isinstance(number, int) and number > 0 else 2)}
    named = stated.get("id2label") or unnamed
    try:
        numbers = {int(number): str(label) for number, label in named.items()}
    except (AttributeError, ValueError):
        numbers = {}
    if not numbers or sorted(numbers) != list(range(len(numbers))):
        raise InputError(
            f"{join(folder, CONFIG)} is damaged: id2label is {named!r}, and does not number its labels from 0"
        )
    return tuple(numbers[number] for number in range(len(numbers)))


def _check_settings(config: QualityConfig, card: Card, problem: object) -> None:
    """Raises SettingError if labels and least score do not fit the classifier, InputError if softmax does not."""
    known = ", ".join(card.labels[:_SHOWN_LABELS])
    if card.is_regression:
        if config.labels:
            raise SettingError(
                f"filter.quality.labels is {', '.join(config.labels)}, but {config.model} has one output, which is the score itself; leave labels out"
            )
        return
    if problem not in (None, "single_label_classification"):
        raise InputError(
            f"{config.model} has several outputs for a {problem}; read are classifiers of which one label is right, and regressions with one output"
        )
    if not config.labels:
        raise SettingError(
            f"filter.quality.labels is empty; name the labels of {config.model} that are good: it has {known}"
        )
    if unknown := [label for label in config.labels if label not in card.labels]:
        raise SettingError(
            f"filter.quality.labels names {', '.join(unknown)}, which {config.model} does not have; its labels are {known}"
        )
    if not 0 <= config.min_score <= 1:
        raise SettingError(
            f"filter.quality.min_score is {config.min_score}; the score of {config.model} is a probability, 0 to 1"
        )


# --- loading ------------------------------------------------------------------------------------------


def _import_torch() -> Any:
    try:
        import torch
        import transformers  # noqa: F401  # seconds to import, and only workers with such a model need them
    except ImportError:
        raise InputError(f"filter.quality.model needs transformers, which is not installed: {EXTRA}") from None
    return torch


def _load_model(local: str, folder: str) -> Any:
    """The model in the folder `local`, a copy of `folder`, ready to answer."""
    import torch
    from transformers import AutoModelForSequenceClassification

    try:
        with _quiet():
            model, found = AutoModelForSequenceClassification.from_pretrained(
                local,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:  # of many kinds, all of them about the files
        raise InputError(f"{folder} cannot be read as a sequence classifier: {_reason(error, local)}") from None
    if absent := sorted(found["missing_keys"]) or sorted(map(str, found["mismatched_keys"])):
        raise InputError(
            f"{folder} is not a sequence classifier: its {WEIGHTS} lacks {', '.join(absent[:3])}, which would be random numbers"
        )
    return model.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """A block in which `transformers` draws no bars and prints no report: what is wrong is said in our own words."""
    from transformers.utils import logging as theirs

    level, bars = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity(logging.CRITICAL)
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(level)
        if bars:
            theirs.enable_progress_bar()


def _load_tokenizer(local: str, folder: str) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(join(local, _TOKENIZER))
    except Exception as error:  # the package raises nothing more special
        raise InputError(f"{join(folder, _TOKENIZER)} is not a tokenizer: {_reason(error, local)}") from None


def _reason(error: Exception, local: str = "\n") -> str:
    """The beginning of what a package says, on one line, without the name of a copy."""
    said = " ".join(str(error).replace(local, "the folder").split())
    return f"{type(error).__name__}: {said[:200]}"
