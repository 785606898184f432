"""The live view of `top`: what it reads, the keys that it takes, and how it ends."""

import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from search.commands.desk import Desk, ServerError
from search.commands.top_screen import Room, job_view, overview
from search.common.labels import duration
from search.common.texts import first_line
from search.database.lease import LIVE
from search.database.store import StoreError
from search.jobs.listing import MOST, Wanted

REFRESH_S = 1.0
"""How often jobs are read."""

SHARE = 4
"""Reading takes at most one part in so many of the time, however long it takes."""

LOOK_S = 0.25
"""How often it is looked whether there is something new to draw."""

NEWEST = 100
"""Jobs of any status that are read; of those that run or wait all of a page are."""

Shown = dict[str, Any]
"""What was read: content that JSON can hold."""


# -- what is read --------------------------------------------------------------------------------


def all_jobs(desk: Desk) -> Shown:
    """Return the jobs of an installation, those at work first, then the queue, then the others."""
    running, _ = desk.jobs(Wanted(status="running", limit=MOST))
    queued, _ = desk.jobs(Wanted(limit=MOST, in_turn=True))
    newest, _ = desk.jobs(Wanted(limit=NEWEST))
    first = {job["id"]: job for job in (*running, *queued)}
    rest = [job for job in newest if job["id"] not in first and job["status"] not in LIVE]
    used = [job["workers"] for job in running if job["workers"]]
    parts = [one["part"] for one in used if one["part"] is not None]
    return {
        "place": desk.place,
        "running": len(running),
        "queued": len(queued),
        "workers": {
            "trials": sum(one["trials"] for one in used),
            "cpus": sum((one["cpus"] for one in used), 0.0),
            "gpus": None
            if any(one["gpus"] is None for one in used)
            else sum((one["gpus"] for one in used), 0.0),
            "part": sum(parts) if parts else None,
        },
        "jobs": [*first.values(), *rest],
    }


def one_job(desk: Desk, key: str) -> Shown:
    """Return a job and its trials."""
    job = desk.show(key)
    return {"job": job, "trials": desk.trials(job["id"])[1]}


@dataclass(frozen=True)
class View:
    """What is watched."""

    place: str
    """Where the jobs are."""
    read: Callable[[], Shown]
    draw: Callable[[Shown, Room], RenderableType]
    is_over: Callable[[Shown], bool]


def view_of(desk: Desk, key: str | None) -> View:
    """Return the view of all jobs, or of one, which stays the same if its name gets a newer job.

    Raises:
        JobNotFoundError: there is no such job.
    """
    if key is None:
        return View(desk.place, partial(all_jobs, desk), overview, lambda _: False)
    return View(desk.place, partial(one_job, desk, desk.show(key)["id"]), job_view, has_ended)


def has_ended(shown: Shown) -> bool:
    """Whether the job of a view has ended."""
    return shown["job"]["status"] not in LIVE


# -- reading -------------------------------------------------------------------------------------


class Reader:
    """Reads what is watched, in a thread of its own: a service may take long to answer.

    Args:
        read: returns what is shown now.
        first: what was read before.
    """

    def __init__(self, read: Callable[[], Shown], first: Shown) -> None:
        self.read = read
        self.shown = first
        self.trouble: str | None = None
        """Why nothing can be read just now."""
        self.trouble_since = 0.0
        self.error: Exception | None = None
        """What ends the view."""
        self.count = 0
        """Rises with each change of the others."""
        self.ended = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self.keep, name="reader", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()

    def keep(self) -> None:
        """Read until the view is left or can go on no more; the body of the thread."""
        took = 0.0
        while not self.ended.wait(max(REFRESH_S - took, took * (SHARE - 1))):
            began = time.monotonic()
            try:
                self.once()
            except Exception as error:  # the thread that draws raises it
                self.error = error
                return
            finally:
                self.count += 1
            took = time.monotonic() - began

    def once(self) -> None:
        """Read once; what goes away may come back, unless it refuses us."""
        try:
            self.shown = self.read()
            self.trouble = None
        except (ServerError, StoreError) as error:
            if isinstance(error, ServerError) and error.final:
                raise
            if self.trouble is None:
                self.trouble_since = time.monotonic()
            self.trouble = first_line(error)


# -- keys ----------------------------------------------------------------------------------------


class Keys:
    """The keys of the terminal, one by one, and unseen; of anything else there are none."""

    def __init__(self) -> None:
        self.fd = sys.stdin.fileno()
        self.is_terminal = os.isatty(self.fd)

    def __enter__(self) -> Self:
        if self.is_terminal:
            self.before = termios.tcgetattr(self.fd)
            self.handler = signal.signal(signal.SIGTERM, leave)
            tty.setcbreak(self.fd)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.is_terminal:
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self.before)
            signal.signal(signal.SIGTERM, self.handler)

    def within(self, seconds: float) -> str:
        """Return what was pressed, at the latest after so many seconds; '' for nothing."""
        if not self.is_terminal:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        return os.read(self.fd, 64).decode(errors="replace") if ready else ""


def leave(number: int, _frame: FrameType | None) -> None:
    """End by a signal as by an error: the terminal is given back as it was."""
    sys.exit(128 + number)


# -- the view ------------------------------------------------------------------------------------


def watch(view: View, console: Console) -> Shown | None:
    """Show a view until it is over, and return what it showed last; None where a person left it.

    Raises:
        JobNotFoundError: the job was deleted.
        ServerError: the service refuses us.
    """
    first = view.read()
    if view.is_over(first):
        return first
    try:
        with (
            Reader(view.read, first) as reader,
            Keys() as keys,
            Live(console=console, screen=True, auto_refresh=False) as live,
        ):
            return follow(view, reader, keys, live)
    except KeyboardInterrupt:
        return None


def follow(view: View, reader: Reader, keys: Keys, live: Live) -> Shown | None:
    """Draw what is new, until the view is over or left."""
    drawn = None
    while True:
        if reader.error is not None:
            raise reader.error
        size, second = live.console.size, int(time.monotonic())
        if (state := (reader.count, size, second)) != drawn:
            drawn = state
            live.update(page(view, reader, Room(size.width, size.height)), refresh=True)
        if view.is_over(reader.shown):
            return reader.shown
        pressed = keys.within(LOOK_S)
        if "q" in pressed.lower():
            return None


def page(view: View, reader: Reader, room: Room) -> RenderableType:
    """Return all that the terminal shows."""
    top = Table.grid(expand=True, padding=(0, 1))
    top.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    top.add_column(no_wrap=True, overflow="ellipsis", justify="right")
    place = Text.assemble(("gatetune ", "bold"), (view.place, "dim"))
    top.add_row(place, Text(f"{time.strftime('%H:%M:%S')}  q leaves", "dim"))
    parts: list[RenderableType] = [top]
    if reader.trouble is not None:
        away = duration(time.monotonic() - reader.trouble_since)
        said = f"reconnecting for {away}: {reader.trouble}"
        parts.append(Text(said, "yellow", no_wrap=True, overflow="ellipsis"))
    height = room.height and room.height - len(parts)
    return Group(*parts, view.draw(reader.shown, Room(room.width, height)))
