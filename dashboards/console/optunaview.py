"""Optuna Dashboard over the same studies, to look at: its own API changes them without any check.

It asks for whole paths, none of which is ours, so that it stands beside our pages behind the same
gate, and is never asked to change anything.
"""

from threading import Lock
from typing import cast

from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search.database.storage import open_storage
from search.service.api.context import Service

PATHS = (
    "/dashboard",
    "/dashboard/{rest:path}",
    "/api/meta",
    "/api/studies",
    "/api/studies/{rest:path}",
    "/csv/{rest:path}",
    "/static/{rest:path}",
)
"""Where it answers."""


STRICTER = "frame-ancestors 'none';base-uri 'none';form-action 'self'"
"""What its own policy leaves open; it needs `unsafe-eval` for WebGL, and styles in the page."""


class OptunaDashboard:
    """The dashboard as an app, made when it is first asked for: its import takes a second.

    Args:
        service: whose studies it shows.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.made: ASGIApp | None = None
        self.lock = Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        app = await run_in_threadpool(self.app)

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if policy := headers.get("content-security-policy"):
                    headers["content-security-policy"] = f"{policy};{STRICTER}"
            await send(message)

        await app(scope, receive, tell)

    def app(self) -> ASGIApp:
        """Return the app."""
        with self.lock:
            if self.made is None:
                from optuna_dashboard import wsgi

                self.made = cast("ASGIApp", WSGIMiddleware(wsgi(open_storage(self.service.store))))
            return self.made


def install(app: FastAPI) -> None:
    """Let the app answer the dashboard's paths, to those who only look."""
    dashboard = OptunaDashboard(app.state.service)
    app.router.routes += [Route(path, dashboard, methods=["GET"]) for path in PATHS]
