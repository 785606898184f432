"""The service's app: routes behind the gate."""

from importlib.metadata import entry_points, version

from fastapi import FastAPI

from search.service.api import events, files, jobs, operations, tokens, uploads
from search.service.api.context import Service
from search.service.api.errors import install
from search.service.api.gate import Gate
from search.service.tokens import Principal, verify

ABOUT = """Hyperparameter search for LSTM and GRU sequence models.

Every error has one shape: `{"error": {"code", "message", "faults", "request_id"}}`. On loopback no
token is needed; elsewhere `Authorization: Bearer gt_…`.
"""

PAGES = "gatetune.pages"
"""Entry points that add pages: each is called with the app."""


def create_app(service: Service) -> FastAPI:
    """Return the app of one installation."""
    app = FastAPI(
        title="Gatetune",
        version=version("gatetune"),
        description=ABOUT,
        openapi_url="/api/v1/openapi.json",
        # FastAPI's own pages load scripts from elsewhere, which our policy forbids.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    for router in (
        jobs.router,
        events.router,
        files.router,
        uploads.router,
        tokens.router,
        operations.router,
        operations.session_router,
    ):
        app.include_router(router)
    install(app)

    def known(text: str) -> Principal | None:
        return verify(service.store, text)

    app.add_middleware(Gate, settings=service.settings, verify=known)
    # Outside of the gate, so that pages may show its refusals, too; their routes are behind it.
    for page in entry_points(group=PAGES):
        page.load()(app)
    return app
