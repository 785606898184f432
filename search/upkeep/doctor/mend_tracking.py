"""Repairs in MLflow, and in what our database says of it."""

import json
from functools import singledispatch
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.exceptions import MlflowException
from sqlalchemy import update

from search.database.tables import PARENT, Job, Run
from search.tracking.handover import Delivery
from search.tracking.tracking import JOB_TAG, STUDY_TAG, TRIAL_TAG
from search.upkeep.doctor import steps
from search.upkeep.doctor.hands import Hands
from search.winner.fetching import (
    champion_folder,
    checked,
    copy_champion,
    is_whole,
    offered,
    replace_champion,
)
from search.winner.registry import publish, quiet, renew
from trainables.folder import LocalFolder


@singledispatch
def mend(step: steps.Step, hands: Hands) -> None:
    """Take one step in MLflow.

    Raises:
        LeaseLostError: a driver took the job over.
    """
    raise NotImplementedError(f"{type(step).__name__} of {hands.job_id}")


@mend.register
def _(step: steps.DeleteRun, hands: Hands) -> None:
    hands.tracking.delete(step.run_id)


@mend.register
def _(step: steps.RenewRun, hands: Hands) -> None:
    hands.tracking.delete(step.run_id)
    with hands.lease.session() as session:
        Delivery.forget(session, session.get_one(Run, step.key))


@mend.register
def _(step: steps.FindRun, hands: Hands) -> None:
    """Where MLflow does not know the run at all, the delivery makes a new one."""
    client = hands.tracking.client
    try:
        run = client.get_run(step.run_id)
    except MlflowException:
        return
    if run.info.lifecycle_stage == "deleted":
        hands.tracking.restore(step.run_id)
    client.set_tag(step.run_id, JOB_TAG, hands.job_id)
    client.set_tag(step.run_id, STUDY_TAG, step.key[0])
    if step.key[1] != PARENT:
        client.set_tag(step.run_id, TRIAL_TAG, str(step.key[1]))


@mend.register
def _(step: steps.SendAgain, hands: Hands) -> None:
    with hands.lease.session() as session:
        Delivery.send_again(session, session.get_one(Run, step.key))


@mend.register
def _(step: steps.SetTag, hands: Hands) -> None:
    hands.tracking.client.set_tag(step.run_id, step.tag, step.value)


@mend.register
def _(_step: steps.Publish, hands: Hands) -> None:
    publish_rest(hands)


def publish_rest(hands: Hands) -> None:
    """Register the champion and log the report, as far as that is not done."""
    model = publish(hands.home, hands.store, hands.job_id)
    with hands.lease.session() as session:
        session.execute(update(Job).where(Job.id == hands.job_id).values(model=json.dumps(model)))


@mend.register
def _(step: steps.RenewVersion, hands: Hands) -> None:
    renew(hands.home, hands.store, hands.job_id, step.version)
    publish_rest(hands)


@mend.register
def _(step: steps.SetAlias, hands: Hands) -> None:
    hands.tracking.client.set_registered_model_alias(hands.name, step.alias, step.version)


@mend.register
def _(step: steps.SetVersionTag, hands: Hands) -> None:
    hands.tracking.client.set_model_version_tag(hands.name, step.version, step.tag, step.value)


@mend.register
def _(_step: steps.LogChampion, hands: Hands) -> None:
    folder = champion_folder(hands.home, hands.job_id)
    run_id = hands.run_id((hands.job_id, PARENT))
    if is_whole(folder):
        with quiet(), TemporaryDirectory() as copy:
            copy_champion(folder, Path(copy))
            hands.tracking.client.log_artifacts(run_id, copy, "champion")


@mend.register
def _(_step: steps.RestoreChampion, hands: Hands) -> None:
    folder = champion_folder(hands.home, hands.job_id)
    run_id = hands.run_id((hands.job_id, PARENT))
    with quiet(), TemporaryDirectory() as copy:
        hands.tracking.client.download_artifacts(run_id, "champion", copy)
        fetched = LocalFolder(Path(copy) / "champion")
        if is_whole(fetched):
            replace_champion(folder, checked(fetched, offered(fetched)))
