import gc
import logging
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import ray
import torch
from ray import tune
from ray.exceptions import ActorDiedError

from tests.trainables.conftest import small, without_times
from trainables.attempt import Attempt
from trainables.datasets import SequenceDataset, fingerprint
from trainables.trial import RecurrentTrial, Shared

Config = dict[str, Any]


@pytest.fixture(scope="module")
def one_cpu() -> Iterator[None]:
    ray.init("local", num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.fixture
def trial(one_cpu: None, trial_config: Config, digits: SequenceDataset) -> RecurrentTrial:
    """The trainable in this process, its data through Ray's object store."""
    made: RecurrentTrial = tune.with_parameters(RecurrentTrial, data=Shared(digits))(
        config=trial_config
    )
    return made


def next_trial(config: Config, **changes: Any) -> Config:
    return {**config, "number": 8, "checkpoints": f"{config['checkpoints']}-next", **changes}


def test_a_worker_trains_one_trial_after_another(
    one_cpu: None, trial_config: Config, digits: SequenceDataset
) -> None:
    actor_class = ray.remote(num_cpus=1)(tune.with_parameters(RecurrentTrial, data=Shared(digits)))
    worker = actor_class.remote(config=trial_config)
    try:
        first = ray.get([worker.train.remote() for _ in range(3)])
        assert ray.get(worker.reset.remote(next_trial(trial_config)))
        second = ray.get(worker.train.remote())
    finally:
        ray.kill(worker)

    assert [result["epoch"] for result in first] == [1, 2, 3]
    assert [result["outcome"] for result in first] == ["running", "running", "complete"]
    assert not any(result["done"] for result in first)
    assert without_times(second["metrics"]) == without_times(first[0]["metrics"])


def test_a_hung_epoch_ends_the_worker(
    one_cpu: None, trial_config: Config, digits: SequenceDataset
) -> None:
    # One step of this network takes longer than the limit, all of it outside the interpreter.
    slow = small(hidden_size=1500, layers=4, batch_size=2000, epochs=9).model_dump()
    actor_class = ray.remote(num_cpus=1)(tune.with_parameters(RecurrentTrial, data=Shared(digits)))
    worker = actor_class.remote(config={**trial_config, "parameters": slow, "epoch_limit_s": 0.5})

    with pytest.raises(ActorDiedError, match="died unexpectedly"):
        ray.get(worker.train.remote(), timeout=60)


def test_data_in_the_object_store_are_mapped_and_never_written(
    trial: RecurrentTrial, digits: SequenceDataset
) -> None:
    for part in (trial.data.train, trial.data.validation):
        assert not part.x.flags.writeable
        assert not part.x.flags.owndata

    trial.step()

    data = trial.data
    assert fingerprint(data.classes, data.train, data.validation, data.test) == digits.fingerprint


def test_reset_frees_the_earlier_trial(trial: RecurrentTrial, trial_config: Config) -> None:
    trial.step()
    assert trial.attempt is not None
    trainer = trial.attempt.trainer
    assert trainer is not None
    old: list[weakref.ref[Any]] = [
        weakref.ref(thing) for thing in (trainer, *trainer.model.parameters())
    ]
    del trainer

    gc.disable()
    try:
        assert trial.reset_config(next_trial(trial_config))
        assert [ref() for ref in old] == [None] * len(old), "it waits for the garbage collector"
    finally:
        gc.enable()


def test_a_trial_does_not_depend_on_the_one_before(
    trial: RecurrentTrial, trial_config: Config, digits: SequenceDataset
) -> None:
    gru = next_trial(trial_config, parameters=small(cell="gru", dropout=0.4, layers=2).model_dump())
    alone = Attempt({**gru, "checkpoints": f"{gru['checkpoints']}-alone"}, digits).next_report()

    trial.step()
    trial.step()
    trial.reset_config(gru)
    after = trial.step()

    assert without_times(after["metrics"]) == without_times(alone.metrics)
    assert after["epoch"] == 1


def test_reset_gives_the_new_trial_its_threads(trial: RecurrentTrial, trial_config: Config) -> None:
    trial.reset_config(next_trial(trial_config, cpus=2.0))
    assert torch.get_num_threads() == 2

    trial.reset_config(next_trial(trial_config, cpus=0.5))
    assert torch.get_num_threads() == 1


def test_neither_setup_nor_reset_makes_a_network(
    trial: RecurrentTrial, trial_config: Config
) -> None:
    assert trial.attempt is not None
    assert trial.attempt.trainer is None

    trial.reset_config(next_trial(trial_config))

    assert trial.attempt.trainer is None


def test_a_trial_that_was_dropped_makes_no_step(trial: RecurrentTrial) -> None:
    trial.cleanup()

    with pytest.raises(RuntimeError, match="reset_config takes the next one"):
        trial.step()


def test_a_step_returns_plain_numbers(trial: RecurrentTrial) -> None:
    result = trial.step()

    told = {"epoch", "metrics", "outcome", "precision", "device_mb", "machine", "damaged"}
    assert set(result) == told
    assert all(type(value) is float for value in result["metrics"].values())
    assert np.isfinite(list(result["metrics"].values())).all()
