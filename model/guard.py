"""The guard against loss spikes: a step whose gradient is far out of the ordinary is not taken."""

import math
import statistics
from collections import deque

from pipeline.errors import CorpusmillError

_WINDOW = 64
_ENOUGH = 16
_PATIENCE = 50


class SpikeGuard:
    """Refuses gradients that are not finite, or whose norm is above `factor` times the median of the last 64.

    Raises:
        CorpusmillError: 50 steps in a row were refused, so the run has diverged.
    """

    def __init__(self, factor: float | None) -> None:
        self.factor = factor
        self.norms: deque[float] = deque(maxlen=_WINDOW)
        self.refused = 0

    def accepts(self, norm: float) -> bool:
        """Whether to take a step with this gradient norm; only those taken enter the median."""
        if math.isfinite(norm) and not self._is_spike(norm):
            self.norms.append(norm)
            self.refused = 0
            return True
        self.refused += 1
        if self.refused >= _PATIENCE:
            raise CorpusmillError(
                f"training has diverged: {self.refused} steps in a row had a gradient norm like {norm:g}; "
                "lower train.optimizer.learning_rate or raise train.spike_factor"
            )
        return False

    def _is_spike(self, norm: float) -> bool:
        return (
            self.factor is not None
            and len(self.norms) >= _ENOUGH
            and norm > self.factor * statistics.median(self.norms)
        )

    def state(self) -> dict[str, object]:
        """JSON for a checkpoint."""
        return {"norms": list(self.norms), "refused": self.refused}

    def load(self, norms: list[float], refused: int) -> None:
        """Takes up what `state` gave."""
        self.norms.clear()
        self.norms.extend(norms)
        self.refused = refused
