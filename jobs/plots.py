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
    """Training loss by step, with its running mean."""

    def draw(axes: Axes) -> None:
        axes.plot(steps, losses, color=_GREY, linewidth=0.8)
        axes.plot(steps, _smoothed(losses), color=_BLUE, linewidth=1.6)
        axes.set_xlabel("step")
        axes.set_ylabel("loss, nats a token")

    return _drawn(draw)


def _smoothed(values: Sequence[float], weight: float = 0.7) -> list[float]:
    mean, result = values[0] if values else 0.0, []
    for value in values:
        mean = weight * mean + (1 - weight) * value
        result.append(mean)
    return result


def bars(values: Mapping[str, float], label: str, *, highlight: str = "", height_each: float = 0.28) -> str:
    """Horizontal bars in the given order, `highlight` in another colour, each with its value."""

    def draw(axes: Axes) -> None:
        names = list(values)[::-1]
        heights = [values[name] for name in names]
        drawn = axes.barh(
            names, heights, color=[_BLUE if name == highlight or not highlight else _GREY for name in names]
        )
        axes.bar_label(drawn, labels=[_short(value) for value in heights], padding=3)
        axes.set_xlabel(label)
        axes.margins(x=0.12)

    return _drawn(draw, height=0.9 + height_each * len(values))


def groups_of_bars(values: Mapping[str, Mapping[str, float]], label: str) -> str:
    """Horizontal bars, one group a name, one bar a series; the first series in colour."""

    def draw(axes: Axes) -> None:
        names = list(values)[::-1]
        series = list(dict.fromkeys(name for each in values.values() for name in each))
        thick = 0.8 / max(len(series), 1)
        for number, name in enumerate(series):
            places = [place - thick * number for place in range(len(names))]
            widths = [values[each].get(name, 0.0) for each in names]
            drawn = axes.barh(places, widths, height=thick, color=_GREY if number else _BLUE, label=name)
            axes.bar_label(drawn, labels=[_short(width) for width in widths], padding=3)
        axes.set_yticks([place - thick * (len(series) - 1) / 2 for place in range(len(names))], names)
        axes.set_xlabel(label)
        axes.margins(x=0.12)
        if len(series) > 1:
            axes.legend(frameon=False, loc="lower right")

    return _drawn(draw, height=0.9 + 0.3 * sum(len(each) for each in values.values()))


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


def _short(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3f}"


def funnel(levels: Sequence[tuple[str, int, int]]) -> str:
    """For each step what was kept and what was rejected, as stacked bars."""

    def draw(axes: Axes) -> None:
        names = [name for name, _, _ in levels][::-1]
        kept = [each for _, each, _ in levels][::-1]
        rejected = [each for _, _, each in levels][::-1]
        axes.bar_label(
            axes.barh(names, kept, color=_GREEN, label="kept"), label_type="center", color="white", fmt="{:,.0f}"
        )
        axes.barh(names, rejected, left=kept, color=_RED, label="rejected")
        for index, (have, lost) in enumerate(zip(kept, rejected, strict=True)):
            if lost:
                axes.text(have + lost, index, f"  −{lost:,}", va="center", color=_RED)
        axes.legend(loc="lower right", frameon=False)
        axes.set_xlabel("pages")
        axes.margins(x=0.1)

    return _drawn(draw, height=1.0 + 0.5 * len(levels))
