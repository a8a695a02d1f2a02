"""Continues prompts with the model of a run, to standard output: RUN/model + RUN/tokenizer → text.

With a prompt, its continuation appears as it is made. Without one, prompts are read line by line: a
pipe gives one continuation a line of input, a terminal a small dialogue that ends with Ctrl-D.
"""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from jobs.engine import Engine
from jobs.evaluate import check_tokenizer
from model.checkpoint import load_model
from model.completion import complete, complete_stream
from model.evaluate_config import DecodingConfig
from model.transformer import Transformer
from pipeline.places import join
from tokenizer.encoding import Encoder, load_encoder

if TYPE_CHECKING:
    from jobs.config import RunConfig


def main(
    config: "RunConfig",
    engine: Engine | None = None,
    *,
    prompt: str | None = None,
    decoding: DecodingConfig | None = None,
) -> None:
    """Continues `prompt`, or each line of standard input; `decoding` defaults to [evaluate.sampling]."""
    generate_run(config.run.folder, decoding or config.evaluate.sampling, prompt=prompt)


def generate_run(
    run: str,
    decoding: DecodingConfig,
    *,
    prompt: str | None = None,
    prompts: Iterable[str] | None = None,
    out: TextIO | None = None,
) -> None:
    """As `main`, for the run in folder `run`."""
    check_tokenizer(run)
    model, encoder = load_model(join(run, "model")), load_encoder(join(run, "tokenizer", "tokenizer.json"))
    out = out or sys.stdout
    if prompt is not None:
        _show(model, encoder, prompt, decoding, out)
        return
    dialogue = prompts is None and sys.stdin.isatty()
    for line in prompts if prompts is not None else _lines(dialogue):
        _show(model, encoder, line, decoding, out)


def _lines(dialogue: bool) -> Iterable[str]:
    while True:
        try:
            yield input("> " if dialogue else "")
        except EOFError:
            return


def _show(model: Transformer, encoder: Encoder, prompt: str, decoding: DecodingConfig, out: TextIO) -> None:
    out.write(prompt)
    pieces = (
        complete(model, encoder, [prompt], decoding)
        if decoding.num_beams > 1
        else complete_stream(model, encoder, prompt, decoding)
    )
    for piece in pieces:
        out.write(piece)
        out.flush()
    out.write("\n")
