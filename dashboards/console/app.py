"""The console as the service's entry point `gatetune.pages` adds it."""

from fastapi import FastAPI

from dashboards.console import (
    assets,
    cluster,
    compare,
    job,
    jobs,
    launch,
    models,
    optunaview,
    settings,
)
from dashboards.console.errors import ErrorPages


def install(app: FastAPI) -> None:
    """Add the pages to the service's app, behind its gate, and let people see errors as pages."""
    app.mount("/assets", assets.app())
    for page in (jobs, job, launch, compare, models, cluster, settings):
        app.include_router(page.router, include_in_schema=False)
    optunaview.install(app)
    app.add_middleware(ErrorPages)
