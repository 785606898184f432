"""The Ray Tune trainable: one worker that trains trial after trial.

The driver, which only names it, does not import PyTorch by that: it takes seconds.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from trainables.datasets import SequenceDataset

if TYPE_CHECKING:
    from trainables.attempt import Attempt


class Shared:
    """A data set in Ray's object store, once a node: whoever reads it maps its arrays.

    Args:
        data: which need not be kept elsewhere.
    """

    def __init__(self, data: SequenceDataset) -> None:
        self.ref = ray.put(data)

    @property
    def data(self) -> SequenceDataset:
        """The data set; its arrays cannot be written to."""
        found: SequenceDataset = ray.get(self.ref)
        return found


class RecurrentTrial(tune.Trainable):
    """Trains the trial of its configuration; see `Attempt` for the configuration's keys.

    ``cpus`` and ``gpus`` are what Ray gave this worker. Made for ``reuse_actors=True``: taking the
    next trial is cheap, and the earlier one's memory is free by then.
    """

    attempt: "Attempt | None" = None

    def setup(  # type: ignore[override]  # Tune adds what with_parameters was given
        self, config: dict[str, Any], data: Shared
    ) -> None:
        """Take the first trial.

        Args:
            config: what the trial trains, and where it stands.
            data: what is learned, through ``tune.with_parameters``.
        """
        self.data = data.data
        self.begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Drop the trial at hand and take the next one."""
        self.end()
        self.begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Return the next epoch that the study does not know: the fields of a `Report`.

        ``done`` is never set: what follows from an epoch is the study's verdict.
        """
        if self.attempt is None:
            raise RuntimeError("the trial has ended; reset_config takes the next one")
        report = self.attempt.next_report()
        return dataclasses.asdict(report)

    def cleanup(self) -> None:
        """Drop the trial at hand."""
        self.end()

    def begin(self, config: dict[str, Any]) -> None:
        """Take a trial; its network is made at its first step, where time is not short."""
        from trainables.attempt import Attempt
        from trainables.device import configure

        configure(threads=max(1, int(config["cpus"])))
        self.gpus = float(config["gpus"])
        self.attempt = Attempt(config, self.data)

    def end(self) -> None:
        """Free what the trial at hand holds."""
        from trainables.device import pick_device, release

        self.attempt = None
        release(pick_device(self.gpus))
