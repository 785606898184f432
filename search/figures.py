"""Pictures of a study, from optuna.visualization."""

from collections.abc import Mapping
from types import MappingProxyType

import optuna
import plotly.graph_objects as go
from optuna.trial import TrialState
from optuna.visualization import plot_intermediate_values, plot_optimization_history

FONT = "system-ui, sans-serif"
STRONG = ("#1a7f37", "#0969da", "#8250df", "#bc4c00", "#bf3989")
COMPLETE, ENDED_EARLY = "#8c959f", "#d8dee4"


def pictures(
    study: optuna.Study, metric: str, named: Mapping[int, str] = MappingProxyType({})
) -> dict[str, go.Figure]:
    """Return every picture of a study, by name."""
    return {"history": history(study, metric), "curves": curves(study, metric, named)}


def history(study: optuna.Study, metric: str) -> go.Figure:
    """Return each complete trial's value over its number, with the best so far."""
    figure = plot_optimization_history(study, target_name=metric)
    figure.update_traces(
        {"name": "a complete trial", "marker": {"size": 9, "color": COMPLETE}},
        selector={"name": metric},
    )
    figure.update_traces(
        {"name": "best so far", "line": {"shape": "hv", "width": 3, "color": STRONG[0]}},
        selector={"name": "Best Value"},
    )
    # Optuna keeps a place for trials that break a constraint; a job has none.
    figure.for_each_trace(
        lambda trace: trace.update(visible=False), selector={"name": "Infeasible Trial"}
    )
    return dressed(figure, "Best so far", "trial", metric)


def curves(study: optuna.Study, metric: str, named: Mapping[int, str]) -> go.Figure:
    """Return every trial's objective over its epochs, pruned ones included.

    Args:
        study: which trials.
        metric: name of the objective.
        named: trials that stand out, by number, with their names in the order of the legend.
    """
    figure = plot_intermediate_values(study)
    states = {trial.number: trial.state for trial in study.get_trials(deepcopy=False)}
    order = list(named)
    shown: set[str] = set()
    for trace in figure.data:
        number = int(trace.name.removeprefix("Trial"))
        if number in named:
            group, rank = named[number], order.index(number)
            color, width = STRONG[rank % len(STRONG)], 3
        else:
            complete = states[number] is TrialState.COMPLETE
            group = "other complete trials" if complete else "ended early"
            color, rank, width = (COMPLETE, 1000, 1) if complete else (ENDED_EARLY, 1001, 1)
        trace.update(
            name=group, legendgroup=group, legendrank=rank + 1, showlegend=group not in shown,
            line={"color": color, "width": width}, marker={"color": color, "size": 4 + width},
            zorder=-rank, hovertext=f"trial {number}",
        )  # fmt: skip
        shown.add(group)
    return dressed(figure, "Learning curves", "epoch", metric)


def dressed(figure: go.Figure, title: str, across: str, up: str) -> go.Figure:
    """Give a figure this project's title, axes and room."""
    figure.update_layout(
        title=title,
        xaxis={"title": {"text": across}, "tickformat": "d", "dtick": step(figure)},
        yaxis_title=up,
        template="plotly_white",
        font_family=FONT,
        showlegend=True,
        legend={"orientation": "h", "y": -0.2},
        height=440,
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
    )
    return figure


def step(figure: go.Figure) -> int:
    """Return a whole distance between ticks that leaves about ten of them."""
    last = max((max(trace.x) for trace in figure.data if len(trace.x or ())), default=1)
    return max(1, round(last / 10))
