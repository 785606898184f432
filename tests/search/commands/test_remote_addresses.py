"""Addresses at which no service answers: what is there instead is said."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from search.commands.desk import ServerError
from search.commands.remote import Remote
from tests.search.called import call
from tests.servers import free_port


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8765", "ftp://127.0.0.1", "http://", "http://[", "http://host:port", "http://:80",
     "gatetune", "http:/host", "http://host:0", "file:///etc/passwd"],
)  # fmt: skip
def test_an_address_that_is_none(home: Path, url: str) -> None:
    done = call("jobs", "--server", url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"gatetune: --server must be http://HOST:PORT or https://…, but got {url!r}\n"
    )
    assert not home.exists()


def test_an_address_where_nothing_answers(home: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = call("show", "tiny", "--server", url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gatetune: no service answers at {url}: ")
    assert "Traceback" not in done.stderr


@contextmanager
def another(status: int, kind: str, body: bytes, **headers: str) -> Iterator[str]:
    """Serve the same answer to everybody, and yield where."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"content-type": kind, **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the base's name

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base's name
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "kind", "body", "said"),
    [
        (200, "text/html", b"<html>Welcome</html>", "answered no JSON; is it a service of Gate"),
        (200, "application/json", b'{"jobs": ', "answered no JSON; is it a service of Gatetune?"),
        (404, "text/html", b"<html>no</html>", "answered 404 Not Found; is it a service of Gate"),
        (404, "application/json", b'{"detail": "x"}', "answered 404 Not Found; is it a service"),
        (400, "application/json", b'["error"]', "answered 400 Bad Request; is it a service of"),
        (502, "text/html", b"<html>away</html>", "answered 502 Bad Gateway; is it a service of"),
    ],
)
def test_an_address_of_something_else(status: int, kind: str, body: bytes, said: str) -> None:
    with another(status, kind, body) as url:
        done = call("jobs", "--server", url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gatetune: {url}/api/v1/jobs")
    assert said in done.stderr


@pytest.mark.parametrize("command", [["jobs"], ["stop", "tiny-0001"], ["show", "tiny-0001"]])
def test_an_address_that_leads_elsewhere_is_named(command: list[str]) -> None:
    """As a proxy's does for those who come by http; there a POST would become a GET."""
    with another(301, "text/html", b"", location="https://tune.example/api/v1/jobs") as url:
        done = call(*command, "--server", url)
        with pytest.raises(ServerError, match=r"leads to https://tune\.example"):
            next(Remote(url, None).events("tiny-0001", None))
    assert done.exit_code == 2
    assert "leads to https://tune.example/api/v1/jobs; --server must be the addr" in done.stderr


def test_an_address_that_speaks_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        done = call("jobs", "--server", url)
        thread.join()
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gatetune: no service answers at {url}: ")
