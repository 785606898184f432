"""The models of the registry: who is champion, since when, and who was before."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from markdown_it import MarkdownIt
from markupsafe import Markup
from sqlalchemy import select

from dashboards.console.rendering import page
from search.database.tables import Job
from search.jobs.jobs import NoChampionError, NotPossibleError
from search.service.api.context import Caller, In, Service, found
from search.winner.fetching import answering, champion_files, offered
from search.winner.promotion import champions

router = APIRouter()

NEWEST = 20
"""Models of a name that are shown, besides all that were champions."""

ABOUT = {
    "model.pt2": "answers by itself in torch: torch.export.load",
    "model.onnx": "answers by itself in ONNX Runtime",
    "weights.safetensors": "the weights alone",
    "predict.py": "answers for a file, with no Gatetune",
    "README.md": "the card: data, training, how good, how to use it",
    "config.json": "what it was trained with",
    "metrics.json": "what it reached",
    "validation.npz": "its answers on the validation part",
    "SHA256SUMS": "checksums of all of these",
}

CARD = "README.md"

CODE = {
    "model.pt2": """\
import torch

model = torch.export.load("model.pt2").module()
outputs = model(torch.randn(1, {steps}, {features}){lengths})
""",
    "model.onnx": """\
import numpy, onnxruntime

model = onnxruntime.InferenceSession("model.onnx")
x = numpy.zeros((1, {steps}, {features}), numpy.float32)
(outputs,) = model.run(None, {{"x": x{lengths}}})
""",
}
"""What loads an export; it is given sequences as [sequences, steps, features]."""

LENGTHS = {
    "model.pt2": ", torch.tensor([{steps}])",
    "model.onnx": ', "lengths": numpy.array([{steps}])',
}
"""What it is given as well where sequences are of unequal lengths."""


def code(names: Sequence[str], data: Mapping[str, Any]) -> str:
    """Return the code that loads the first of the exports that are offered; empty for none.

    Args:
        names: of the files that are offered.
        data: what the job's row says of its data.
    """
    name = next((name for name in names if name in CODE), None)
    if name is None:
        return ""
    steps = data["steps"]
    lengths = LENGTHS[name].format(steps=steps) if data.get("varies") else ""
    return CODE[name].format(steps=steps, features=data["features"], lengths=lengths)


def known_reigns(service: Service, name: str) -> list[dict[str, Any]] | None:
    """Return the champions of a name; None where MLflow does not answer."""
    try:
        return reigns(service, name)
    except NotPossibleError:
        return None


def in_html(text: str) -> Markup:
    """Return a card's Markdown as HTML whose headings stand below those of the page."""
    reader = MarkdownIt("js-default")  # takes no HTML
    tokens = reader.parse(text)
    for token in tokens:
        if token.type.startswith("heading"):
            token.tag = f"h{min(6, int(token.tag[1]) + 3)}"
        token.attrs.pop("style", None)  # of a table's cell, which the policy refuses
    return Markup(reader.renderer.render(tokens, reader.options, {}))  # noqa: S704


@router.get("/models")
def models(request: Request, service: In) -> HTMLResponse:
    """Show every name that has a model, and the reigns of its champions."""
    try:
        told, trouble = named(service), ""
    except NotPossibleError as error:
        told, trouble = [], str(error)
    return page(request, "models.html", models=told, trouble=trouble)


def named(service: Service) -> list[dict[str, Any]]:
    """Return the names of which there are models, with their champions and challengers.

    Raises:
        NotPossibleError: MLflow does not answer.
    """
    with service.store.session() as session:
        jobs = session.scalars(
            select(Job).where(Job.model.is_not(None)).order_by(Job.created_at.desc())
        ).all()
    shown = []
    for name in dict.fromkeys(job.name for job in jobs):
        told, of_name = reigns(service, name), [job for job in jobs if job.name == name]
        ruled = {one["job"] for one in told}
        kept = [job for place, job in enumerate(of_name) if place < NEWEST or job.id in ruled]
        shown.append({"name": name, "reigns": told, "jobs": [service.show(job) for job in kept]})
    return shown


def reigns(service: Service, name: str) -> list[dict[str, Any]]:
    """Return the champions of a name, the present one first; none where there never was one.

    Raises:
        NotPossibleError: MLflow does not answer.
    """
    try:
        return champions(service.home, name)
    except NoChampionError:
        return []


@router.get("/jobs/{key}/files")
def files(request: Request, key: str, service: In, caller: Caller) -> HTMLResponse:
    """Show what may be taken away of a job's model, and the code that loads it."""
    job = found(service, key)
    with answering(job):
        folder = champion_files(service.home, job)
        names = list(offered(folder))
        card = folder.read(CARD).decode(errors="replace")
    return page(
        request,
        "files.html",
        job=service.show(job),
        mine=caller.owns(job.owner),
        card=in_html(card),
        reigns=known_reigns(service, job.name),
        files=[(name, ABOUT.get(name, "")) for name in names],
        code=code(names, job.data),
    )
