"""Every request passes here first: who asks, from where, how often, and with how much."""

import logging
import re
import secrets
import time
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import SplitResult, urlsplit

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from prometheus_client import Counter, Histogram
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search.common.processes import user
from search.database.store import StoreError
from search.service.api.errors import ApiError, ErrorDetail, answer, failure, path_of
from search.service.api.settings import Settings
from search.service.tokens import Principal

logger = logging.getLogger("gatetune.access")

SESSION = "gatetune_session"
"""Cookie with a person's token; scripts cannot read it. See `cookie_names`."""

CSRF = "gatetune_csrf"
"""Cookie whose value a page of ours repeats in the header of a changing request."""

CSRF_HEADER = "x-csrf-token"

OPEN_PATHS = ("/health", "/ready", "/metrics", "/api/v1/openapi.json", "/login")
"""What needs no token: it tells nothing that anybody owns."""

ASSETS = "/assets/"
"""Where style and scripts of pages are, of which the same is true."""

SESSION_PATH = "/api/v1/session"
"""Where a login carries its token in its body, and a logout needs none."""

STREAM_PATH = re.compile(r"/api/v1/jobs/[^/]+/events")

PORT = re.compile(r":(\d+)$")
"""Of a Host header, where it names one."""

FORWARDED = re.compile(r"forwarded|via|x-forwarded-.*|x-real-ip|x-client-ip|cf-connecting-ip")
"""Headers by which proxies tell that they ask for somebody else."""

SAFE = ("GET", "HEAD", "OPTIONS")

WRONG_TOKENS = "too many wrong tokens from this address"

METHODS = (*SAFE, "POST", "PUT", "PATCH", "DELETE")
"""What is counted by its name; a client may make up others."""

GONE = 499
"""Logged where the client went away before its answer; the number is nginx's."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

REQUESTS = Counter("gatetune_http_requests_total", "Answers by status.", ["method", "status"])
SECONDS = Histogram(
    "gatetune_http_request_seconds", "From request to the end of the answer, streams excepted."
)


class Gate:
    """Middleware that lets through what may pass, says who asks, and logs every answer.

    The principal stands in ``scope["gatetune.principal"]``.

    Args:
        app: what is behind the gate.
        settings: who may pass.
        verify: tells whose token a text is.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, verify: Callable[[str], Principal | None]
    ) -> None:
        self.app = app
        self.settings = settings
        self.verify = verify
        self.rates = MovingWindowRateLimiter(MemoryStorage())
        self.requests = RateLimitItemPerMinute(settings.requests_a_minute)
        self.refusals = RateLimitItemPerMinute(settings.refusals_a_minute)
        self.streams: Tally[str] = Tally()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        scope["gatetune.request_id"] = request_id = secrets.token_hex(8)
        status, started, streamed = 500, False, False

        async def tell(message: Message) -> None:
            nonlocal status, started, streamed
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = MutableHeaders(scope=message)
                streamed = headers.get("content-type", "").startswith("text/event-stream")
                headers["x-request-id"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.admit(scope)
            with self.counted_stream(scope):
                await self.app(routed(scope), self.limited(scope, receive), tell)
        except ApiError as error:
            detail = ErrorDetail(code=error.code, message=str(error), request_id=request_id)
            refusal = answer(error.status, detail, error.headers)
            await refusal(scope, receive, tell)
        except ClientDisconnect:
            status = GONE
        except Exception as error:
            if started:
                raise
            await failure(scope, error)(scope, receive, tell)
        finally:
            took = time.perf_counter() - began
            if not streamed:
                SECONDS.observe(took)
            self.record(scope, status, took)

    def record(self, scope: Scope, status: int, took_s: float) -> None:
        """Count and log an answer."""
        if status == 401 and scope["path"] == SESSION_PATH:
            self.is_refused_once_more(scope)
        method = scope["method"] if scope["method"] in METHODS else "other"
        REQUESTS.labels(method, str(status)).inc()
        principal: Principal | None = scope.get("gatetune.principal")
        logger.log(
            logging.INFO if status < 400 else logging.WARNING,
            "%s %s: %d", scope["method"], path_of(scope), status,
            extra={
                "request": scope["gatetune.request_id"],
                "owner": principal and principal.owner,
                "address": address(scope),
                "took_ms": round(1000 * took_s, 1),
            },
        )  # fmt: skip

    async def admit(self, scope: Scope) -> None:
        """Let a request pass, and write down who makes it.

        Raises:
            ApiError: it may not pass.
        """
        headers = Headers(scope=scope)
        self.check_host(headers)
        if scope["method"] not in SAFE:
            self.check_origin(headers)
        if scope["path"] in (*OPEN_PATHS, SESSION_PATH) or scope["path"].startswith(ASSETS):
            self.count("address", address(scope))
            if scope["path"] == SESSION_PATH and not self.rates.test(
                self.refusals, "refused", address(scope)
            ):
                raise too_many(WRONG_TOKENS)
            return
        principal = await self.identify(scope, headers)
        self.count("owner", principal.owner)
        scope["gatetune.principal"] = principal
        scope["gatetune.identify"] = partial(self.identify, scope, headers, counted=False)

    def count(self, kind: str, name: str) -> None:
        """Count a request of an owner, or of an address that has no token.

        Raises:
            ApiError: it is one too many.
        """
        if not self.rates.hit(self.requests, kind, name):
            raise too_many(f"at most {self.settings.requests_a_minute} requests a minute")

    def is_refused_once_more(self, scope: Scope) -> bool:
        """Count a wrong token of an address, and return whether there may be more of them.

        Only wrong tokens are counted and refused: others may come from the same address.
        """
        return self.rates.hit(self.refusals, "refused", address(scope))

    @contextmanager
    def counted_stream(self, scope: Scope) -> Iterator[None]:
        """Hold one of the streams that an owner may have at once.

        Raises:
            ApiError: it is one too many.
        """
        if not STREAM_PATH.fullmatch(scope["path"]):
            yield
            return
        owner = scope["gatetune.principal"].owner
        if self.streams[owner] >= self.settings.streams:
            raise too_many(f"at most {self.settings.streams} streams at once")
        self.streams[owner] += 1
        try:
            yield
        finally:
            self.streams[owner] -= 1

    def check_host(self, headers: Headers) -> None:
        """Refuse a request that was meant for another host: a page that made its name ours."""
        named = parts_of(f"//{headers.get('host', '')}").hostname or ""
        if named not in self.settings.hosts:
            raise ApiError(
                421,
                "foreign-host",
                f"this service is not called {named[:100]!r}; GATETUNE_HOSTS names what it is",
            )

    @staticmethod
    def check_origin(headers: Headers) -> None:
        """Refuse a change that a page of another site asks for."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        own = origin is None or parts_of(origin).netloc == headers.get("host")
        if not own or site not in {"same-origin", "none"}:
            raise ApiError(403, "cross-site", "a page of another site may not change anything here")

    async def identify(self, scope: Scope, headers: Headers, *, counted: bool = True) -> Principal:
        """Return who asks: by token, by cookie, or on this machine whoever runs the service.

        Args:
            scope: the request.
            headers: the request's.
            counted: whether a wrong token is one that somebody guesses.

        Raises:
            ApiError: nobody who is known; or the database is away.
        """
        kind, _, text = headers.get("authorization", "").partition(" ")
        cookies = cookies_of(headers)
        session, csrf = cookie_names(headers)
        trusted = not text and not kind and self.settings.is_private and not is_forwarded(headers)
        if not text and session in cookies:
            text, kind = cookies[session], "bearer"
            if scope["method"] not in SAFE and not same(
                cookies.get(csrf), headers.get(CSRF_HEADER)
            ):
                raise ApiError(
                    403, "cross-site", f"with a cookie, {CSRF_HEADER} must repeat {csrf}"
                )
        if trusted and not text:
            return Principal(user(), "admin")
        if text and kind.lower() == "bearer":
            try:
                principal = await run_in_threadpool(self.verify, text.strip())
            except StoreError as error:
                raise ApiError(503, "database-away", str(error)) from error
            if principal is not None:
                return principal
            if trusted:  # the cookie is that of a service that was here before
                return Principal(user(), "admin")
            if counted and not self.is_refused_once_more(scope):
                raise too_many(WRONG_TOKENS)
            raise unknown("the token is not valid; it may have been revoked")
        self.count("address", address(scope))
        raise unknown("a token is needed: `Authorization: Bearer gt_…`")

    def limited(self, scope: Scope, receive: Receive) -> Callable[[], Awaitable[Message]]:
        """Return ``receive`` for a request, which ends where the body is too long.

        A length that is announced is believed only where it is too large.
        """
        upload = scope["path"].startswith("/api/v1/data/") and scope["method"] == "PUT"
        most = self.settings.upload_bytes if upload else self.settings.body_bytes
        taken = 0

        async def receive_limited() -> Message:
            nonlocal taken
            announced = Headers(scope=scope).get("content-length", "0")
            if announced.isdecimal() and int(announced) > most:
                raise too_large(most)
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise too_large(most)
            return message

        return receive_limited


def is_forwarded(headers: Headers) -> bool:
    """Whether a proxy says that it asks for somebody else."""
    return any(FORWARDED.fullmatch(name) for name in headers)


def parts_of(url: str) -> SplitResult:
    """Return the parts of a URL; none where it is no URL."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def too_large(most: int) -> HTTPException:
    """Return the refusal of a body that is too long."""
    return HTTPException(413, f"the body must be at most {most} bytes long")


def too_many(message: str) -> ApiError:
    """Return the refusal of a request that is one too many."""
    return ApiError(429, "too-many-requests", message, headers={"retry-after": "60"})


def unknown(message: str) -> ApiError:
    """Return the refusal of somebody who is not known."""
    return ApiError(401, "token-needed", message, headers={"www-authenticate": "Bearer"})


def address(scope: Scope) -> str:
    """Return from where a request comes."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def routed(scope: Scope) -> Scope:
    """Return a request as routes know it: HEAD is GET, whose body the server leaves out.

    But for a stream, which would have no end.
    """
    if scope["method"] != "HEAD" or STREAM_PATH.fullmatch(scope["path"]):
        return scope
    return {**scope, "method": "GET"}


def cookie_names(headers: Headers) -> tuple[str, str]:
    """Return what `SESSION` and `CSRF` are called where a request went.

    A browser keeps one set of cookies for all ports of a host, so that a login to one service would
    end that to another beside it. Where no port is named, none is added.
    """
    port = PORT.search(headers.get("host", ""))
    return (SESSION, CSRF) if port is None else (f"{SESSION}_{port[1]}", f"{CSRF}_{port[1]}")


def cookies_of(headers: Headers) -> dict[str, str]:
    """Return the cookies of a request, also beside those of others that no standard allows."""
    return cookie_parser(headers.get("cookie", ""))


def same(one: str | None, other: str | None) -> bool:
    """Whether two secrets are there and equal."""
    return bool(one and other) and secrets.compare_digest(
        (one or "").encode(), (other or "").encode()
    )
