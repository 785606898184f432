"""The model of any trial whose weights are kept, made ready to be taken away."""

from optuna.trial import FrozenTrial

from search.common.home import Home
from search.common.labels import format_value
from search.database.storage import both_studies
from search.database.store import Store
from search.document.spec import JobSpec
from search.jobs.jobs import NotPossibleError, find
from search.jobs.loading import check_same_data, describe_data, load_data, of_job
from search.study.retention import top
from search.winner.fetching import answering
from search.winner.models import network, weights_of
from search.winner.packaging import About, packaged, strangers_to
from trainables.export import ExportError
from trainables.folder import DamagedError


def trial_files(home: Home, store: Store, key: str, number: int) -> dict[str, bytes]:
    """Return the files of a trial's model, by name; the test part is not looked at.

    Args:
        home: the installation.
        store: its database.
        key: the job.
        number: of a trial of the search.

    Raises:
        JobNotFoundError: there is no such job.
        NotPossibleError: there is no such trial, its weights are not kept, the data are others, or
            no export answers as the network does.
        DatasetError: the data cannot be read.
    """
    job = find(store, key)
    spec = JobSpec.from_json(job.document)
    trials, _ = both_studies(store, job.id)
    trial = kept(job.id, spec, trials, number)
    with answering(job):
        try:
            weights = weights_of(home.folder(job.id).child("search"), number)
        except DamagedError as error:
            raise NotPossibleError(str(error)) from error
    data = load_data(of_job(job, spec, home), home)
    check_same_data(job, describe_data(data))
    config = spec.config_of(trial)
    name = spec.objective.metric.replace("val_", "validation_", 1)
    about = About(
        name=f"{spec.name}, trial {number}",
        job_id=job.id,
        config=config,
        numbers={name: trial.value or 0.0},
        origin=(
            f"The weights are of trial {number} of the search, a single run of many: its "
            f"{format_value(trial.value)} may be luck. The test part was not looked at."
        ),
        metrics={"model": {name: trial.value}, "trial": number},
    )
    try:
        with strangers_to(data) as asked:
            return packaged(network(config, data, weights), data, about, asked)
    except ExportError as error:
        raise NotPossibleError(f"trial {number} of job {job.id}: {error}") from error


def kept(job_id: str, spec: JobSpec, trials: list[FrozenTrial], number: int) -> FrozenTrial:
    """Return a trial whose weights are kept.

    Raises:
        NotPossibleError: there is no such trial, or they are not.
    """
    known = {trial.number: trial for trial in trials}
    if not known:
        raise NotPossibleError(f"job {job_id} has no trials yet")
    if number not in known:
        raise NotPossibleError(
            f"--trial must be one of job {job_id}, 0 to {len(trials) - 1}, but got {number}"
        )
    if number not in (held := top(trials, spec)):
        raise NotPossibleError(
            f"the weights of trial {number} are not kept, only those of the best and of baselines: "
            f"{', '.join(map(str, sorted(held))) or 'none yet'}"
        )
    return known[number]
