"""What a report is made of: sections of words, tables and pictures, as Markdown and as HTML."""

import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from search.common.texts import literal

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
       color: #1f2328; }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.25rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .35rem .9rem; text-align: right; border-bottom: 1px solid #d1d9e0; }
th:first-child, td:first-child { text-align: left; }
td:not(:first-child) { white-space: nowrap; }
code { background: #f0f2f4; padding: .1rem .3rem; border-radius: .3rem; font-size: .9em; }
tr.chosen td { font-weight: 600; background: #eef6ee; }
"""

ESCAPED = re.compile(r"\\(?:(&\w+;)|([^\w\s]|_))")
"""A mark of Markdown that means nothing, in what is safe as HTML already."""

Cells = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of texts, not Markdown; words stand in its first column, numbers in the others."""

    heads: Cells
    rows: Sequence[Cells]
    strong: int | None = None
    """Which row stands out."""


@dataclass(frozen=True)
class Section:
    """One question of a reader, and its answer."""

    title: str
    sentences: Sequence[str]
    """Of Markdown."""
    table: Table | None = None
    pictures: Sequence[Callable[[], go.Figure]] = field(default=())
    """Drawn for a page only."""


def in_markdown(section: Section) -> str:
    """Return a section as Markdown."""
    told = [f"## {section.title}"] if section.title else []
    told += section.sentences
    if section.table is not None:
        told.append(table_in_markdown(section.table))
    return "".join(f"{one}\n\n" for one in told).rstrip("\n") + "\n"


def table_in_markdown(table: Table) -> str:
    """Return a table as Markdown."""
    lines = [tuple(map(literal, table.heads)), ("---",) * len(table.heads)]
    for place, row in enumerate(table.rows):
        first, *rest = map(literal, row)
        lines.append((f"**{first}**" if place == table.strong else first, *rest))
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def in_html(section: Section) -> str:
    """Return a section as HTML."""
    told = [f"<h2>{html.escape(section.title)}</h2>"] if section.title else []
    told += [f"<p>{prose(one)}</p>" for one in section.sentences]
    if section.table is not None:
        told.append(table_in_html(section.table))
    told += [
        "<div class=picture>"
        + draw().to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=f"{re.sub('[^a-z]+', '-', section.title.lower())}{place}",
            config={"displayModeBar": False, "responsive": True},
        )
        + "</div>"
        for place, draw in enumerate(section.pictures)
    ]
    return "".join(told)


def table_in_html(table: Table) -> str:
    """Return a table as HTML, which scrolls where the page is narrower."""
    heads = "".join(f"<th>{html.escape(head)}" for head in table.heads)
    body = "".join(
        f"<tr{' class=chosen' if place == table.strong else ''}>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        + "</tr>"
        for place, row in enumerate(table.rows)
    )
    return f"<div class=wide><table><tr>{heads}</tr>{body}</table></div>"


def prose(text: str) -> str:
    """Return Markdown of a report as HTML: backticks mean code, two stars strong.

    What has a backslash before it is text, as `literal` writes it.
    """
    marked = ESCAPED.sub(lambda found: found[1] or f"&#{ord(found[2])};", html.escape(text))
    escaped = re.sub("`([^`]*)`", r"<code>\1</code>", marked)
    return re.sub(r"\*\*(.*)\*\*", r"<strong>\1</strong>", escaped)


def page(title: str, heading: str, sections: Iterable[Section]) -> str:
    """Return sections as one page that needs nothing else, pictures included.

    Args:
        title: of the window.
        heading: above all sections.
        sections: in this order.
    """
    body = "".join(map(in_html, sections))
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8>"
        f"<meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>"
        f"<script>{get_plotlyjs()}</script>"
        f"<h1>{html.escape(heading)}</h1>{body}</html>"
    )
