"""Export to a folder that `transformers.AutoModelForCausalLM` loads, and back. Nothing is renamed.

Which class there computes the same is said in `model.hf_config`.
"""

from dataclasses import fields, replace
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from model.config import Architecture
from model.hf_config import architecture_of, export_obstacle, hf_config, weight_files
from model.transformer import Transformer
from pipeline import storage
from pipeline.atomic import FileEntry
from pipeline.errors import DataError, SettingError
from pipeline.places import join

_COMPUTED = ".rotary_emb.inv_freq"  # older files hold what follows from config.json


def export_model(
    model: Transformer, folder: str, *, end_of_text_id: int, tokenizer_json: bytes | None = None
) -> list[FileEntry]:
    """Writes `config.json`, `generation_config.json`, `model.safetensors` and the tokenizer; returns their entries.

    Raises:
        SettingError: `transformers` has no class for this architecture.
    """
    obstacle = export_obstacle(model.architecture)
    if obstacle:
        raise SettingError(f"the model cannot be exported to transformers: {obstacle}")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    special = {"bos_token_id": end_of_text_id, "eos_token_id": end_of_text_id, "pad_token_id": end_of_text_id}
    entries = [
        storage.write_json(join(folder, "config.json"), hf_config(model.architecture) | special),
        storage.write_json(join(folder, "generation_config.json"), special),
        storage.write_bytes(
            join(folder, "model.safetensors"), safetensors.torch.save(weights, metadata={"format": "pt"})
        ),
    ]
    if tokenizer_json is not None:
        entries.append(storage.write_bytes(join(folder, "tokenizer.json"), tokenizer_json))
        entries.append(storage.write_json(join(folder, "tokenizer_config.json"), _tokenizer_config(model.architecture)))
    return entries


def import_model(folder: str) -> Transformer:
    """The model in a folder that `export_model` or `transformers` wrote, its weights in one file or several.

    Raises:
        DataError: it is of a kind that we cannot compute, or its weights are not those of its `config.json`.
    """
    model = Transformer(architecture_of(storage.read_json(join(folder, "config.json"))))
    weights = {name: tensor.float() for path in weight_files(folder) for name, tensor in _read_weights(path).items()}
    if model.lm_head is None:  # some files hold the embeddings a second time, under the name of the output layer
        weights.pop("lm_head.weight", None)
    try:
        model.load_state_dict({name: tensor for name, tensor in weights.items() if not name.endswith(_COMPUTED)})
    except RuntimeError as error:
        said = "; ".join(line.strip() for line in str(error).splitlines()[1:])
        raise DataError(f"{folder} does not hold the weights that its config.json describes: {said}") from None
    return model.eval()


def _read_weights(path: str) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(storage.read_bytes(path))
    except safetensors.SafetensorError as error:
        raise DataError(f"{path} is not a file of weights: {error}") from None


def import_as(folder: str, architecture: Architecture) -> Transformer:
    """As `import_model`, for a model that must compute what `architecture` says; its dropout and context are taken from there.

    Raises:
        DataError: the model in the folder is another.
    """
    model = import_model(folder)
    kept = {name: getattr(architecture, name) for name in ("context_length", "dropout", "initial_std")}
    if "mla" not in (model.architecture.attention, architecture.attention):
        kept["attention"] = architecture.attention  # the number of key heads says which
    found = replace(model.architecture, **kept)
    for each in fields(Architecture):
        theirs, ours = getattr(found, each.name), getattr(architecture, each.name)
        if theirs != ours:
            raise DataError(f"the model in {folder} has {each.name} {theirs!r}, and [model] says {ours!r}")
    wanted = Transformer(architecture)
    wanted.load_state_dict(model.state_dict())
    return wanted


def _tokenizer_config(architecture: Architecture) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": architecture.context_length,
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
    }
