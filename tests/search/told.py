"""Results to be told of, made by hand."""

from search.database.result import Candidate, Gain, Result


def candidate(of: int, *validation: float, test: float | None = None, **more: object) -> Candidate:
    baseline = bool(more.pop("baseline", False))
    return Candidate(
        of=of,
        parameters={"cell": "gru", "hidden_size": 8, "learning_rate": 0.01, **more},
        baseline=baseline,
        runs=tuple(range(len(validation))),
        validation=validation,
        train=validation,
        test=() if test is None else (test,) * len(validation),
        weights=1234, size_mb=0.05, latency_ms=0.3,
    )  # fmt: skip


def result(chosen: Candidate, *baselines: Candidate, others: tuple[Candidate, ...] = ()) -> Result:
    return Result(
        metric="val_accuracy", direction="maximize", study="tiny-0001/confirm",
        confirmed=len(chosen.runs) > 1, chosen=chosen, baselines=baselines, others=others,
    )  # fmt: skip


def behind(value: float, probability: float) -> dict[str, Gain]:
    """Return what is said of one that is not chosen."""
    gain = Gain(value=value, low=value - 0.03, high=value + 0.03, probability=probability)
    return {"behind": gain}


WINNER = candidate(2, 0.90, 0.92, test=0.89).model_copy(
    update={"validation_interval": (0.89, 0.93)}
)
BASELINE = candidate(0, 0.80, 0.82, test=0.79, baseline=True, schedule="constant").model_copy(
    update=behind(0.1, 0.999)
)
OTHER = candidate(1, 0.85, 0.87).model_copy(update=behind(0.05, 0.98))
