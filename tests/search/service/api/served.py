"""The service, served for real on loopback: what the tests of REST and of its client talk to."""

import http.client
import logging
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import uvicorn
from sqlalchemy import select
from starlette.datastructures import Headers

from search.common.home import Home
from search.database.store import Store
from search.database.tables import Job
from search.service import tokens
from search.service.api.app import create_app
from search.service.api.context import Service
from search.service.api.gate import cookie_names
from search.service.api.gate import logger as access_logger
from search.service.api.settings import Settings
from tests.search.installations import write_tables
from tests.servers import free_port

TIMEOUT_S = 120.0

ROOTS = ("/health", "/ready", "/metrics", "/login")


@dataclass
class Served:
    """A service that answers, and the hands of a client."""

    service: Service
    url: str
    client: requests.Session

    @property
    def home(self) -> Home:
        return self.service.home

    @property
    def store(self) -> Store:
        return self.service.store

    @property
    def session(self) -> str:
        """The name of its cookie with a token."""
        return self.cookie_names[0]

    @property
    def csrf(self) -> str:
        """The name of its cookie that changes repeat."""
        return self.cookie_names[1]

    @property
    def cookie_names(self) -> tuple[str, str]:
        return cookie_names(Headers({"host": urlsplit(self.url).netloc}))

    def ask(
        self, method: str, path: str, token: str | None = None, **given: Any
    ) -> requests.Response:
        """Make a request; a path is sent as it stands, dots and all, below /api/v1 or as a ROOT."""
        headers = dict(given.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        stream = given.pop("stream", False)
        prepared = self.client.prepare_request(
            requests.Request(method, self.url, headers=headers, **given)
        )
        query = urlsplit(prepared.url or "").query
        where = path if path.startswith(ROOTS) else f"/api/v1{path}"
        prepared.url = f"{self.url}{where}{'?' if query else ''}{query}"
        return self.client.send(prepared, timeout=TIMEOUT_S, stream=stream)

    def raw(self, request: bytes) -> tuple[int, bytes]:
        """Send bytes on a connection of their own, and return status and body of the answer."""
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            connection.sendall(request)
            with http.client.HTTPResponse(connection) as answer:
                answer.begin()
                return answer.status, answer.read()

    def get(self, path: str, **given: Any) -> Any:
        """Return the JSON that a path answers with, which must be a success."""
        answer = self.ask("GET", path, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def token(self, owner: str, role: str) -> str:
        """Make a token."""
        return tokens.create(self.store, owner, role)[1]

    def read(self, job_id: str) -> Job:
        """Return a job's row."""
        with self.store.session() as session:
            return session.get_one(Job, job_id)

    def state(self) -> object:
        """Return all that a request could change."""
        with self.store.session() as session:
            jobs = session.scalars(select(Job).order_by(Job.id)).all()
        rows = [(j.id, j.status, j.stop_requested, j.supervised, j.revision) for j in jobs]
        listed = [(one["id"], one["revoked_at"]) for one in tokens.listed(self.store)]
        return rows, listed, files(self.home.data), files(Path(self.home.checkpoints))


def files(folder: Path) -> dict[str, int]:
    """Return the files below a folder with their sizes."""
    found = folder.rglob("*")
    return {str(path): path.stat().st_size for path in found if path.is_file()}


def fresh(path: Path) -> Home:
    """Return an installation in a folder of its own, whatever the environment says."""
    return Home(
        path=path,
        database_url=f"sqlite:///{path / 'gatetune.db'}",
        tracking_uri=f"sqlite:///{path / 'mlflow.db'}",
        ray_address=None,
        checkpoints=str(path / "checkpoints"),
        data=path / "data",
    )


@contextmanager
def serving(
    home: Home, settings: Settings | None = None, port: int = 0, store: Store | None = None
) -> Iterator[Served]:
    """Serve an installation while the block runs.

    It is bound to loopback whatever the settings say, so that tests are reached from nowhere else.
    """
    home.create()
    if not Store.exists(home.database_url):
        write_tables(home.database_url)
    store = store or Store.open(home.database_url)
    port = port or free_port()
    service = Service(home, store, settings or Settings(port=port))
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(service),
            host="127.0.0.1",
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, name="served", daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            thread.join(0.01)
        with requests.Session() as client:
            client.trust_env = False
            client.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            yield Served(service, f"http://127.0.0.1:{port}", client)
    finally:
        server.should_exit = True
        thread.join(TIMEOUT_S)
        assert not thread.is_alive(), "the service does not end"
        store.close()


class AccessLog(logging.Handler):
    """What the gate has logged; its lines are written after the answer has left."""

    def __init__(self) -> None:
        super().__init__()
        self.records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.put(record)

    def next(self) -> logging.LogRecord:
        """Wait for the next line."""
        return self.records.get(timeout=TIMEOUT_S)

    def of(self, request_id: str | None) -> logging.LogRecord:
        """Wait for the line about a request."""
        while True:
            record = self.next()
            if vars(record)["request"] == request_id:
                return record


@contextmanager
def listening() -> Iterator[AccessLog]:
    """Listen to the gate's log while the block runs."""
    log, level = AccessLog(), access_logger.level
    access_logger.addHandler(log)
    access_logger.setLevel(logging.INFO)
    try:
        yield log
    finally:
        access_logger.setLevel(level)
        access_logger.removeHandler(log)
