"""Errors as people see them: the service's own words, on a page that leads on."""

import json
from http import HTTPStatus
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.console.rendering import render

MACHINES = ("/api/", "/assets/", "/csv/", "/static/", "/health", "/ready", "/metrics")
"""Where programs ask, and what Optuna Dashboard answers in its own shape."""


class ErrorPages:
    """Turns every answer that is an error into a page, where a browser asked for a page.

    Who is not known yet is led to the login.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and hold an error back until all of it is known."""
        if scope["type"] != "http" or not asks_for_page(scope):
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def hold(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and is_error(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")

        await self.app(scope, receive, hold)
        if start is not None:
            await shown(scope, start, body)(scope, receive, send)


def asks_for_page(scope: Scope) -> bool:
    """Whether a browser asks for something to look at."""
    wants = "text/html" in Headers(scope=scope).get("accept", "")
    return wants and not scope["path"].startswith(MACHINES)


def is_error(start: Message) -> bool:
    """Whether an answer is an error in the service's shape."""
    kind: bytes = dict(start["headers"]).get(b"content-type", b"")
    return start["status"] >= 400 and kind.startswith(b"application/json")


def shown(scope: Scope, start: Message, body: bytes) -> HTMLResponse | RedirectResponse:
    """Return the page of an error, with the headers that the gate gave its answer."""
    kept = {
        name.decode(): value.decode()
        for name, value in start["headers"]
        if name not in {b"content-type", b"content-length"}
    }
    if start["status"] == 401:
        query = scope["query_string"].decode("latin-1")
        asked = quote(scope["path"]) + (f"?{query}" if query else "")
        target = asked if scope["method"] == "GET" else "/"
        return RedirectResponse(f"/login?next={quote(target, safe='')}", 303, headers=kept)
    error = json.loads(body)["error"]
    filled = render(
        "error.html",
        # Two slashes would lead to another host.
        path="/" + scope["path"].lstrip("/\\"),
        principal=scope.get("gatetune.principal"),
        local=False,
        mlflow=None,
        status=start["status"],
        phrase=HTTPStatus(start["status"]).phrase,
        message=error["message"],
        faults=error["faults"],
        reference=error["request_id"],
    )
    return HTMLResponse(filled, start["status"], kept)
