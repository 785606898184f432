"""A person's word on which job's model is the champion of its name."""

import json
import re
from typing import Any

from sqlalchemy import update

from search.common.home import Home
from search.common.texts import first_line
from search.database.store import Store
from search.database.tables import Job
from search.document.sections import NAME
from search.jobs.jobs import NoChampionError, NotPossibleError, find
from search.tracking.handover import TROUBLE
from search.tracking.tracking import client_of
from search.winner.champions import (
    ALIAS_TAG,
    CHAMPION,
    CLAIMS_TAG,
    REASON_TAG,
    bearer,
    claim,
    claims_of,
    every_version,
    history,
    settle,
    versions_of,
    written,
)


def promote(home: Home, store: Store, key: str, by: str) -> dict[str, Any]:
    """Make a job's model the champion of its name, and return it as ``show`` does.

    What was cut short is completed by doing it again.

    Args:
        home: the installation.
        store: its database.
        key: the job.
        by: who says so.

    Raises:
        JobNotFoundError: there is no such job.
        NotPossibleError: it has registered no model, or MLflow does not answer.
    """
    job = find(store, key)
    try:
        client = client_of(home)
        versions = versions_of(client, job.name, job.id)
        if not versions:
            raise NotPossibleError(f"job {job.id} has no model in the registry to promote")
        version = versions[0]
        present = bearer(CHAMPION, every_version(client, job.name))
        reason = f"{by} promoted it"
        tags = {REASON_TAG: reason, ALIAS_TAG: CHAMPION}
        if present is None or present.version != version.version:
            # First of all: whose claim is the latest decides, whatever else is cut short.
            tags = {CLAIMS_TAG: written([*claims_of(version), claim(reason, by)])} | tags
        elif version.tags.get(ALIAS_TAG) == CHAMPION:
            settle(client, job.name)  # somebody may have moved the alias itself
            raise NotPossibleError(f"job {job.id} is the champion of {job.name} already")
        for tag, value in tags.items():
            client.set_model_version_tag(job.name, version.version, tag, value)
        settle(client, job.name)
    except TROUBLE as error:
        raise unreachable(home, error) from error
    model = {
        "name": job.name,
        "version": str(version.version),
        "alias": CHAMPION,
        "reason": reason,
    }
    with store.session() as session:
        session.execute(update(Job).where(Job.id == job.id).values(model=json.dumps(model)))
    return model


def champions(home: Home, name: str) -> list[dict[str, Any]]:
    """Return the champions of a name, the present one first.

    Raises:
        NoChampionError: there never was one; names the models that there are.
        NotPossibleError: MLflow does not answer.
    """
    try:
        client = client_of(home)
        # The registry's filters have no way to say a quote.
        if re.fullmatch(NAME, name) and (found := history(client, name)):
            return found
        known = sorted(one.name for one in client.search_registered_models(max_results=50))
    except TROUBLE as error:
        raise unreachable(home, error) from error
    has = ", ".join(known) or "none yet"
    raise NoChampionError(f"no model called {name!r} had a champion; the models are: {has}")


def unreachable(home: Home, error: BaseException) -> NotPossibleError:
    """Return what to tell a person of a registry that does not answer."""
    return NotPossibleError(f"the registry of {home.tracking_address}: {first_line(error)}")
