"""`gatetune up`: REST, supervisor and MLflow's server over one installation, until told to end."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import uvicorn
from rich.console import Console

from search.common.home import Home
from search.common.limits import Limits
from search.common.logs import write_json
from search.common.signals import that_end
from search.database.lease import LeaseLostError
from search.database.store import Store, StoreError
from search.service.api.app import create_app
from search.service.api.context import Service
from search.service.api.settings import Settings
from search.service.drivers import Drivers, LocalDrivers
from search.service.serving import TrackingServer, free_port, listening
from search.service.sharedray import SharedRay
from search.service.supervisor import Supervisor
from search.service.tokens import any_valid

logger = logging.getLogger("gatetune.service")

CLUSTER_JOBS = 16
"""Jobs at once on a cluster, unless `GATETUNE_MAX_JOBS` says otherwise; here one a processor."""


def up(home: Home, settings: Settings, tracking_port: int, console: Console) -> int:
    """Serve an installation until Ctrl-C or SIGTERM; return the exit code.

    Args:
        home: the installation.
        settings: how it listens and whom it believes.
        tracking_port: the first port to try for MLflow's server.
        console: where people read what is where.

    Raises:
        SettingsError: a limit cannot be used; nothing was created.
        ServingError: it cannot be started.
        StoreError: the database cannot be used.
    """
    limits = limits_of(home)
    if not console.is_terminal:
        write_json()
    for number in that_end():
        # uvicorn takes them while it runs, and raises them again once it has ended.
        signal.signal(number, signal.default_int_handler)
    home.create()
    try:
        return run(home, settings, limits, tracking_port, console)
    except KeyboardInterrupt:
        return 0


def run(
    home: Home, settings: Settings, limits: Limits, tracking_port: int, console: Console
) -> int:
    """Start every part, serve, and end them in reverse."""
    with ExitStack() as open_things:
        store = Store.open(home.database_url)
        open_things.callback(store.close)
        if not settings.is_private and not any_valid(store):
            logger.warning(
                "nobody can use the service yet: there is no token; `gatetune token create "
                "--role admin` makes the first one"
            )
        if settings.is_private:
            port = free_port(settings.port)
            if port != settings.port:
                console.print(f"port {settings.port} is taken, so it is {port}")
            settings = replace(settings, port=port)
        # From now on: what starts first takes seconds, in which another might take the port.
        listener = open_things.enter_context(listening(settings.host, settings.port))
        tracking = open_things.enter_context(tracked(home, tracking_port, settings.mlflow))
        supervisor = Supervisor(store, drivers_of(home), limits)
        open_things.enter_context(supervised(supervisor))
        service = Service(
            home,
            store,
            settings,
            trouble=lambda: troubles(supervisor, tracking),
            # Beside a service that others reach, MLflow's own address is this machine's alone.
            mlflow_url=settings.mlflow
            or (tracking.url if tracking and settings.is_private else None),
        )
        threading.Thread(
            target=keep_settled, args=(home, supervisor.left), name="settle", daemon=True
        ).start()
        return serve(service, listener, lambda: say(console, home, settings, tracking))


class Server(uvicorn.Server):
    """Says that it answers once it does."""

    def __init__(self, config: uvicorn.Config, say: Callable[[], None]) -> None:
        super().__init__(config)
        self.say = say

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        if self.started:
            self.say()


def serve(service: Service, listener: socket.socket, say: Callable[[], None]) -> int:
    """Answer requests until a signal comes; uvicorn takes it, and lets answers end."""
    server = Server(
        uvicorn.Config(
            create_app(service),
            log_config=None,
            access_log=False,
            server_header=False,
            # Who asks every few seconds must not find the connection closed in that moment.
            timeout_keep_alive=75,
            # Streams never end by themselves.
            timeout_graceful_shutdown=2,
        ),
        say,
    )
    server.run(sockets=[listener])
    return 0 if server.started else 1


def say(console: Console, home: Home, settings: Settings, tracking: TrackingServer | None) -> None:
    """Print what is where."""
    uri = home.tracking_address if tracking is None else tracking.url
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    for line in (
        f"console    http://{host}:{settings.port}   (REST: /api/v1)",
        f"MLflow UI  {uri}",
        f"state      {home.path}   Ctrl-C ends all; jobs go on with the next `up`",
    ):
        console.print(line, soft_wrap=True)


def drivers_of(home: Home) -> Drivers:
    """Return how this installation runs drivers."""
    address = home.ray_address
    if address is not None and address.startswith(("http://", "https://")):
        from search.service.rayjobs import RayJobs  # its library takes a second to import

        return RayJobs(home, address)
    return LocalDrivers(home, None if address else SharedRay(home))


def limits_of(home: Home) -> Limits:
    """Return the limits that are set, and one of jobs at once in any case."""
    limits = Limits.from_environment()
    default = CLUSTER_JOBS if home.ray_address else os.cpu_count() or 1
    return replace(limits, jobs=limits.jobs or default)


@contextmanager
def supervised(supervisor: Supervisor) -> Iterator[None]:
    """Run the queue while the block runs; then let its drivers give their jobs back."""
    thread = threading.Thread(target=supervisor.run, name="supervisor")
    thread.start()
    try:
        yield
    finally:
        supervisor.end()
        thread.join()


@contextmanager
def tracked(home: Home, first_port: int, public: str | None) -> Iterator[TrackingServer | None]:
    """Keep MLflow's server running while the block runs; None where one is set up elsewhere."""
    if not home.embedded_tracking:
        yield None
        return
    server = TrackingServer(home, free_port(first_port), public)
    ending = threading.Event()

    def keep() -> None:
        while not ending.wait(1.0):
            try:
                server.ensure()
            except Exception:
                # Whatever stands in the way now, such as a full disk, may be gone the next time.
                logger.exception("MLflow's server cannot be started; it is tried again")

    thread = threading.Thread(target=keep, name="mlflow", daemon=True)
    try:
        server.begin()
        thread.start()
        yield server
    finally:
        ending.set()
        if thread.is_alive():
            thread.join()
        server.end()


def troubles(supervisor: Supervisor, tracking: TrackingServer | None) -> list[str]:
    """Return what does not work just now."""
    checks: list[Callable[[], str | None]] = [lambda: supervisor.trouble]
    if tracking is not None:
        checks.append(tracking.trouble)
    return [said for check in checks if (said := check()) is not None]


def keep_settled(home: Home, left: threading.Event) -> None:
    """Settle at once, and again whenever a driver has ended; the service runs on in any case."""
    while True:
        left.clear()
        try:
            settle(home)
        except (StoreError, LeaseLostError) as error:
            logger.warning("not every job could be settled: %s", error)
        except Exception:
            logger.exception("jobs could not be settled; it is tried again after the next driver")
        left.wait()


def settle(home: Home) -> None:
    """Settle what jobs without a driver left open.

    Raises:
        StoreError: the database cannot be used.
        LeaseLostError: a driver took a job over meanwhile.
    """
    from search.upkeep.doctor.screen import line
    from search.upkeep.doctor.settling import settle as settle_jobs

    plain = Console(file=sys.stderr, quiet=True)
    for report in settle_jobs(home):
        logger.info(plain.render_str(line(report.as_json())).plain, extra={"job": report.id})
