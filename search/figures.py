"""Pictures of a study, from optuna.visualization."""

import optuna
import plotly.graph_objects as go
from optuna.visualization import plot_intermediate_values, plot_optimization_history

FONT = "system-ui, sans-serif"


def history(study: optuna.Study, metric: str) -> go.Figure:
    """Return each trial's value over its number, with the best so far."""
    figure = plot_optimization_history(study, target_name=metric)
    return dressed(figure, "Best so far", "trial", metric)


def curves(study: optuna.Study, metric: str) -> go.Figure:
    """Return every trial's objective over its epochs, pruned ones included."""
    figure = plot_intermediate_values(study)
    return dressed(figure, "Learning curves", "epoch", metric)


def dressed(figure: go.Figure, title: str, across: str, up: str) -> go.Figure:
    """Give a figure this project's title, axes and room."""
    figure.update_layout(
        title=title,
        xaxis_title=across,
        yaxis_title=up,
        template="plotly_white",
        font_family=FONT,
        height=420,
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
    )
    return figure
