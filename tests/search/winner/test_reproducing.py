"""A trial is trained again from its record, and what differs is found."""

import json

import pytest
from sqlalchemy import update
from typer.testing import CliRunner, Result

from search.commands.cli import app
from search.common.home import Home
from search.common.trial import Verdict
from search.database.lease import Lease
from search.database.store import Store
from search.database.tables import Job, JournalRow
from search.jobs.loading import describe_data, load_data
from tests.search.conftest import add_job, asked, make_spec, open_study
from trainables.attempt import Attempt
from trainables.device import configure

JOB = "tiny-0001"


@pytest.fixture
def trained(home: object) -> Store:
    """A job whose first trial was trained for two epochs, and then ended by its pruner."""
    configure(threads=1)  # as a worker does; the last digits may depend on it
    installation = Home.from_environment()
    installation.create()
    store = Store.open(installation.database_url)
    spec = make_spec()
    data = load_data(spec, installation)
    add_job(store, spec, JOB, dataset=json.dumps(describe_data(data)), supervised=False)
    with Lease(store, JOB) as lease:
        study = open_study(store, lease, spec)
        live = asked(study)
        given = {"number": 0, "parameters": live.settings(), "seed": live.seed, "acknowledged": 0,
                 "checkpoints": str(installation.path / "trial"), "metric": "val_accuracy",
                 "direction": "maximize", "target": None, "gpus": 0.0,
                 "epoch_limit_s": 600.0, "costs": False}  # fmt: skip
        attempt = Attempt(given, data)
        for outcome in ("running", "complete"):
            report = attempt.next_report()
            live.precision, live.machine = report.precision, report.machine
            verdict = study.report(0, report.epoch, report.metrics, outcome)
        assert verdict is Verdict.COMPLETE
        study.shut()
    return store


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["reproduce", *arguments])


def test_the_same_numbers_are_found_again(trained: Store) -> None:
    found = call(JOB, "0")
    assert found.exit_code == 0
    assert "equal, bit for bit: 18 numbers of 2 epochs" in found.output
    told = json.loads(call(JOB, "0", "--json").stdout)
    assert (told["trial"], told["equal"], len(told["epochs"])) == (0, True, 2)


def test_other_numbers_are_named_with_the_likely_reason(trained: Store) -> None:
    with trained.session() as session:
        row = session.get_one(JournalRow, (JOB, 0, 2))
        row.metrics = json.dumps(json.loads(row.metrics) | {"val_loss": 7.0})
    trained.engine.dispose()
    found = call(JOB, "0")
    assert found.exit_code == 1
    assert "apart: val_loss by" in found.output
    assert "torch, processor, threads and device are the same as then" in found.output
    with trained.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trial_user_attributes SET value_json = ? WHERE key = 'machine'",
            (json.dumps(json.dumps({"processor": "Abacus", "device": "cpu"})),),
        )
    assert "processor: Abacus then," in call(JOB, "0").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((JOB,), "job tiny-0001 has no winner yet; `gatetune reproduce tiny-0001 TRIAL` takes"),
        ((JOB, "1"), "TRIAL must be one of job tiny-0001, 0 to 0, but got 1"),
    ],
)
def test_what_was_never_trained(arguments: tuple[str, ...], message: str, trained: Store) -> None:
    found = call(*arguments)
    assert (found.exit_code, message in found.output) == (2, True)


def test_other_data_are_refused(trained: Store) -> None:
    with trained.session() as session:
        session.execute(update(Job).values(dataset='{"name": "digits", "fingerprint": "00"}'))
    found = call(JOB, "0")
    assert (found.exit_code, "its trials would not compare" in found.output) == (2, True)
