"""Our models in the `lm-evaluation-harness`, without a detour over an export (needs the extra `harness`).

Every document of ours begins behind an end-of-text token, so that token is the prefix of all contexts.
"""

from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from model.completion import TextCodec, complete_ids, cut
from model.evaluate_config import DecodingConfig
from model.scoring import score_continuations
from model.transformer import Transformer


class HarnessModel(TemplateLM):  # type: ignore[misc]  # the harness is untyped
    """A model of ours as the harness wants it."""

    backend = "causal"

    def __init__(self, model: Transformer, codec: TextCodec, *, batch_tokens: int = 8192) -> None:
        super().__init__()
        self.model, self.codec, self.batch_tokens = model, codec, batch_tokens

    @property
    def eot_token_id(self) -> int:
        """The token that ends a document, and so precedes the next."""
        return self.codec.end_of_text_id

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **options: Any) -> list[int]:
        """The ids of a text, without any special token."""
        return self.codec.encode(string)

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], disable_tqdm: bool = False, **options: Any
    ) -> list[tuple[float, bool]]:
        pairs = [(self._begun(context), continuation) for _, context, continuation in requests]
        return [
            (score.nats, score.greedy)
            for score in score_continuations(self.model, pairs, batch_tokens=self.batch_tokens)
        ]

    def _begun(self, context: list[int]) -> list[int]:
        return context if context[:1] == [self.eot_token_id] else [self.eot_token_id, *context]

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """The log-probability of whole texts, in windows in which every token is scored once."""
        return [self._rolling(request.args[0]) for request in requests]

    def _rolling(self, text: str) -> float:
        windows = get_rolling_token_windows(
            token_list=self.tok_encode(text), prefix_token=self.eot_token_id,
            max_seq_len=self.model.architecture.context_length, context_len=1,
        )  # fmt: skip
        pairs = [make_disjoint_window(window) for window in windows]
        return sum(score.nats for score in score_continuations(self.model, pairs, batch_tokens=self.batch_tokens))

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Continuations, each up to the first of its stop strings."""
        return [self._continued(*request.args) for request in requests]

    def _continued(self, context: str, options: dict[str, Any]) -> str:
        until = options.get("until") or ()
        stop = (until,) if isinstance(until, str) else tuple(until)
        sampled = bool(options.get("do_sample")) and options.get("temperature", 1.0) > 0
        config = DecodingConfig(
            max_tokens=options.get("max_gen_toks", 256),
            temperature=options.get("temperature", 1.0) if sampled else 0.0,
            stop=stop,
        )
        ids = [self.eot_token_id, *self.tok_encode(context)]
        return cut(
            self.codec.decode_bytes(complete_ids(self.model, self.codec, ids, config)).decode("utf-8", "replace"), stop
        )
