"""Pages from templates, and how they write numbers and moments."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dashboards.console import assets
from search.common.labels import age, counted, duration, ended, format_value
from search.jobs.listing import STATES
from search.service.api.context import service_of
from search.service.api.gate import cookie_names

TABS = (
    ("Jobs", "/"),
    ("Launch", "/launch"),
    ("Compare", "/compare"),
    ("Models", "/models"),
    ("Cluster", "/cluster"),
    ("Settings", "/settings"),
)


def moment(seconds: float | None) -> Markup:
    """Return a moment that the page's script writes in the reader's zone, and its age."""
    if seconds is None:
        return Markup("–")
    at = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}" title="{}">{} ago</time>').format(
        at.isoformat(timespec="seconds"), at.strftime("%Y-%m-%d %H:%M UTC"), age(seconds)
    )


def short(value: Any) -> str:
    """Return a parameter's value with few digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def percent(share: float | None) -> str:
    """Return a share in percent."""
    return "–" if share is None else f"{100 * share:.0f} %"


def cell_mark(cell: str | None) -> Markup:
    """Return a cell's name beside its colour, which is the same everywhere."""
    if cell is None:
        return Markup("–")
    return Markup('<span class="cell {}">{}</span>').format(cell, cell.upper())


def configuration(params: Mapping[str, Any]) -> Markup:
    """Return a configuration: its cell in colour, and the rest as key and value."""
    rest = [
        Markup("<span class=param>{} <b>{}</b></span>").format(key.replace("_", " "), short(value))
        for key, value in params.items()
        if key != "cell" and value is not None
    ]
    mark = [cell_mark(params["cell"])] if params.get("cell") else []
    return Markup(" ").join([*mark, *rest])


def spark(values: Sequence[float], label: str) -> Markup:
    """Return a small line of values, which says in words what it shows."""
    if len(values) < 2:
        return Markup('<span class="muted">–</span>')
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    points = " ".join(
        f"{2 + 92 * place / (len(values) - 1):.1f},{22 - 18 * (value - low) / span:.1f}"
        for place, value in enumerate(values)
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 96 26" role="img" aria-label="{}" '
        'preserveAspectRatio="none"><polyline points="{}"/></svg>'
    ).format(label, points)


ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters |= {
    "moment": moment,
    "value": format_value,
    "duration": duration,
    "short": short,
    "ended": ended,
    "percent": percent,
    "cell": cell_mark,
    "configuration": configuration,
    "counted": counted,
}
ENVIRONMENT.globals |= {
    "asset": assets.url,
    "tabs": TABS,
    "states": STATES,
    "spark": spark,
}


def render(template: str, **content: Any) -> str:
    """Return a template filled in."""
    return ENVIRONMENT.get_template(template).render(**content)


def page(
    request: Request, template: str, *, headers: dict[str, str] | None = None,
    **content: Any,
) -> HTMLResponse:  # fmt: skip
    """Return a page or a part of one.

    Args:
        request: what asks for it.
        template: its name.
        headers: of the answer, beside the usual ones.
        content: what the template needs beside who asks and where MLflow is.
    """
    principal = request.scope.get("gatetune.principal")
    service = service_of(request)
    filled = render(
        template,
        path=request.url.path,
        principal=principal,
        local=cookie_names(request.headers)[0] not in request.cookies,
        mlflow=service.mlflow_url if principal else None,
        now=time.time(),
        **content,
    )
    return HTMLResponse(filled, headers={"cache-control": "no-store"} | (headers or {}))


def nothing_new() -> HTMLResponse:
    """Return the answer by which a part of a page stays as it is."""
    return HTMLResponse(status_code=204)
