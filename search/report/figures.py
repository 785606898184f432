"""Pictures of a study, from optuna.visualization."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import optuna
import plotly.graph_objects as go
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import (
    plot_intermediate_values,
    plot_optimization_history,
    plot_parallel_coordinate,
)

MOST = 300
"""Trials of which importances are told."""

FONT = "system-ui, sans-serif"
STRONG = ("#1a7f37", "#0969da", "#8250df", "#bc4c00", "#bf3989")
COMPLETE, ENDED_EARLY = "#8c959f", "#d8dee4"


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


def curves(
    study: optuna.Study, metric: str, named: Mapping[int, str] = MappingProxyType({})
) -> go.Figure:
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


def shares(study: optuna.Study) -> dict[str, float]:
    """Return each parameter's share of the differences, largest first; nothing if none is known.

    By fANOVA (Hutter and others 2014), of the parameters that all complete trials have; of very
    many trials the newest, as it takes 5 s of a thousand.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 2:  # Optuna would say that all parameters matter alike
        return {}
    newest = optuna.create_study(direction=study.direction)
    newest.add_trials(complete[-MOST:])
    try:
        found = get_param_importances(newest, evaluator=FanovaImportanceEvaluator(seed=0))
    except (ValueError, RuntimeError):  # all values are the same, or no parameter is in all trials
        return {}
    return {name: float(share) for name, share in found.items()}


def importances(study: optuna.Study, metric: str) -> go.Figure:
    """Return how much of the differences in the objective goes with each parameter."""
    return bars(shares(study), metric)


def bars(found: Mapping[str, float], metric: str) -> go.Figure:
    """Return shares of the differences in a metric, as `shares` returns them, as a picture."""
    names = list(reversed(list(found)))
    bars = go.Bar(
        x=[found[name] for name in names], y=names, orientation="h", marker_color=STRONG[1],
        text=[f"{found[name]:.0%}" for name in names], textposition="auto",
    )  # fmt: skip
    figure = go.Figure(bars)
    figure.update_layout(
        title="Importance",
        xaxis={"title": f"share of the differences in {metric}", "tickformat": ".0%"},
        template="plotly_white", font_family=FONT, height=120 + 40 * len(names),
        margin={"l": 120, "r": 20, "t": 50, "b": 50},
    )  # fmt: skip
    return figure


def parallel(study: optuna.Study, metric: str) -> go.Figure:
    """Return every complete trial as a line over its parameters."""
    figure = plot_parallel_coordinate(study, target_name=metric)
    figure.update_layout(title="Complete trials", font_family=FONT, height=440)
    return figure


def front(
    trials: Sequence[FrozenTrial], best: Sequence[FrozenTrial], metric: str, cost: str
) -> go.Figure:
    """Return complete trials by a cost and the objective, those on the front joined by a line.

    Args:
        trials: all that are complete.
        best: those of them that no other is better than in all objectives.
        metric: name of the objective.
        cost: which of their costs.
    """
    numbers = {trial.number for trial in best}
    groups = (
        ("other complete trials", [t for t in trials if t.number not in numbers], COMPLETE),
        ("the front", sorted(best, key=lambda t: float(t.user_attrs["costs"][cost])), STRONG[0]),
    )
    figure = go.Figure(
        [
            go.Scatter(
                x=[trial.user_attrs["costs"][cost] for trial in group],
                y=[trial.value for trial in group],
                name=name, mode="lines+markers" if name == "the front" else "markers",
                line={"color": color}, marker={"color": color, "size": 9},
                hovertext=[f"trial {trial.number}" for trial in group],
            )
            for name, group, color in groups
        ]
    )  # fmt: skip
    figure.update_layout(
        title=f"{metric} and {cost}", xaxis_title=cost, yaxis_title=metric,
        template="plotly_white", font_family=FONT, height=440,
        legend={"orientation": "h", "y": -0.2}, margin={"l": 60, "r": 20, "t": 50, "b": 50},
    )  # fmt: skip
    return figure


def confusion(counts: Sequence[Sequence[int]], names: Sequence[str]) -> go.Figure:
    """Return how many sequences of each class [class, answer] got which answer.

    The colour is the share of a class, so that a rare one is seen, too.
    """
    told = [[count / max(1, sum(row)) for count in row] for row in counts]
    few = len(names) <= 25
    figure = go.Figure(
        go.Heatmap(
            z=told, x=list(names), y=list(names), customdata=counts, colorscale="Blues",
            zmin=0, zmax=1, colorbar={"title": "share", "tickformat": ".0%"},
            text=counts if few else None, texttemplate="%{text}" if few else None,
            hovertemplate="%{y} told as %{x}: %{customdata}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        title="Classes of the test part", xaxis={"title": "told as", "type": "category"},
        yaxis={"title": "class", "type": "category", "autorange": "reversed"},
        template="plotly_white", font_family=FONT, height=max(440, 24 * len(names) + 140),
        margin={"l": 80, "r": 20, "t": 50, "b": 60},
    )  # fmt: skip
    return figure


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


FIGURES: Mapping[str, Callable[[optuna.Study, str], go.Figure]] = {
    "history": history,
    "curves": curves,
    "importances": importances,
    "parallel": parallel,
}
"""Pictures that a study alone is enough for, by name."""
