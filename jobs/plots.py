"""The pictures of a report, as SVG text: same data, same bytes."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from model.comparison import Difference

_STYLE: Any = {
    "svg.hashsalt": "corpusmill",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.family": "sans-serif",
}
_BLUE, _GREY, _RED, _GREEN = "#2f6db3", "#b8c0c8", "#c8553d", "#3c8d5a"


def _drawn(draw: Callable[[Axes], None], *, width: float = 7.0, height: float = 2.6) -> str:
    buffer = io.StringIO()
    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots())
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def loss_curve(steps: Sequence[int], losses: Sequence[float]) -> str:
    """Training loss by step, with its running mean; its ink is that of the page around it."""

    def draw(axes: Axes) -> None:
        axes.plot(steps, losses, color=_GREY, linewidth=0.8)
        axes.plot(steps, _smoothed(losses), color=_BLUE, linewidth=1.6)
        axes.set_xlabel("step")
        axes.set_ylabel("loss, nats a token")

    return _drawn(draw, width=5.2, height=2.4).replace("#000000", "currentColor")


def _smoothed(values: Sequence[float], weight: float = 0.7) -> list[float]:
    mean, result = values[0] if values else 0.0, []
    for value in values:
        mean = weight * mean + (1 - weight) * value
        result.append(mean)
    return result


def intervals(differences: Mapping[str, "Difference"], label: str) -> str:
    """Differences to a base as points with their intervals, about a line at zero; what is decided in colour."""

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=_GREY, linewidth=1)
        for place, each in enumerate(differences.values()):
            color = (_GREEN if each.mean < 0 else _RED) if each.decided else _BLUE
            if each.low is not None and each.high is not None:
                axes.plot([each.low, each.high], [place, place], color=color, linewidth=1.6)
            axes.plot([each.mean], [place], "o", color=color)
        axes.set_yticks(range(len(differences)), list(differences))
        axes.set_ylim(len(differences) - 0.5, -0.5)
        axes.set_xlabel(label)

    return _drawn(draw, height=0.9 + 0.4 * len(differences))
