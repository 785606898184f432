"""An HTTP proxy before the MLflow server, which can fail in the ways that networks do."""

import http.client
import threading
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Way(StrEnum):
    """What happens to a request."""

    OPEN = "open"
    ERROR = "500"
    """It is answered with 500, and the server never hears of it."""
    ERROR_AFTER = "502 after"
    """The server carries it out, but the client hears 502, and asks again."""
    HANG = "hang"
    """It is held until the way is another, then its connection is dropped."""


ANSWERS = {Way.ERROR: 500, Way.ERROR_AFTER: 502}
PASSED_ON = ("content-type", "accept", "authorization", "range")


class Server(ThreadingHTTPServer):
    """Holds what its handlers share."""

    daemon_threads = True
    target = 0
    way = Way.OPEN

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.changed = threading.Condition()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that was killed is what this is for."""


class Handler(BaseHTTPRequestHandler):
    """Takes one connection's requests to the server and its answers back."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_any(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        way = self.server.way
        if way is Way.HANG:
            with self.server.changed:
                self.server.changed.wait_for(lambda: self.server.way is not Way.HANG)
            self.close_connection = True
            return
        if way is not Way.ERROR:
            try:
                status, headers, answer = self.forward(content)
            except (OSError, http.client.HTTPException):
                self.close_connection = True  # as where nothing listens
                return
        if way in ANSWERS:
            status, headers, answer = ANSWERS[way], {}, b'{"error_code": "INTERNAL_ERROR"}'
        self.answer(status, headers, answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_any  # noqa: N815 - as the base looks

    def forward(self, content: bytes) -> tuple[int, dict[str, str], bytes]:
        """Have the server carry out the request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=60)
        try:
            kept = {k: v for k, v in self.headers.items() if k.lower() in PASSED_ON}
            connection.request(self.command, self.path, content, kept)
            response = connection.getresponse()
            headers = {"Content-Type": response.headers.get("Content-Type", "application/json")}
            return response.status, headers, response.read()
        finally:
            connection.close()

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """Answer the client."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class Proxy:
    """The proxy as a thread, before the server at ``port``."""

    def __init__(self, port: int) -> None:
        self.server = Server()
        self.server.target = port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def set(self, way: Way) -> None:
        """Treat every request like this from now on."""
        with self.server.changed:
            self.server.way = way
            self.server.changed.notify_all()

    def close(self) -> None:
        self.set(Way.OPEN)
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
