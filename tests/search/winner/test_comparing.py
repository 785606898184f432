"""The candidates' own networks decide: who is chosen, and how sure that is."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import numpy as np
import pytest
import torch

from search.database.result import Gain, Result
from search.winner.comparing import UNKNOWN, Answers, compare, lead, weighed
from search.winner.evidence import Truths
from tests.search.conftest import make_spec
from tests.search.winners import PARAMETERS, candidate, result, write_weights
from trainables.batches import answers
from trainables.checkpoint import Checkpoints
from trainables.datasets import SequenceDataset
from trainables.folder import DamagedError, LocalFolder
from trainables.footprint import Footprint
from trainables.goals import Classes

SPEC = make_spec()


def truths(*seen: float, noise: float) -> Truths:
    """Return what configurations may reach that are seen so, each with so much noise."""
    draws = np.random.default_rng(0).normal(size=(len(seen), 4000)) * noise
    values = np.array(seen)
    return Truths("accuracy", 1.0, values, draws + values[:, None])


FOUND = result(candidate(2, 0.90, 0.90), candidate(0, 0.80, 0.80, baseline=True)).model_copy(
    update={
        "others": (candidate(3, 0.89, 0.89), candidate(4, 0.85, 0.85)),
        "gain": None,
        "chance": None,
    }
)
SEEN = (0.90, 0.80, 0.89, 0.85)
COSTS = {of: Footprint(n, 1.0, 1.0) for of, n in ((2, 900), (0, 500), (3, 300), (4, 100))}


@pytest.mark.parametrize(
    ("noise", "chosen", "level", "beats"),
    [
        (0.001, 2, (), True),
        (0.010, 3, (2, 3), True),  # 0.89 is within a standard error of the difference
        (0.200, 4, (2, 3, 4), False),
    ],
)
def test_the_smallest_of_those_that_cannot_be_told_apart_is_chosen(
    noise: float, chosen: int, level: tuple[int, ...], beats: bool
) -> None:
    found = weighed(FOUND, truths(*SEEN, noise=noise), COSTS)
    assert (found.chosen.of, found.level, found.beats_baseline) == (chosen, level, beats)
    assert {one.of: one.weights for one in found.candidates} == {2: 900, 0: 500, 3: 300, 4: 100}
    low, high = found.chosen.validation_interval or (0.0, 0.0)
    assert low < found.chosen.validation[0] < high
    assert found.gain is not None
    assert found.gain.value == pytest.approx(found.chosen.validation[0] - 0.80)


def test_a_baseline_stands_where_it_is_best_and_not_for_its_size() -> None:
    costs = COSTS | {0: Footprint(50, 1.0, 1.0)}
    found = weighed(FOUND, truths(*SEEN, noise=0.2), costs)
    assert found.chosen.of == 4

    best = result(candidate(0, 0.9, 0.9, baseline=True), candidate(0, 0.9, 0.9, baseline=True))
    best = best.model_copy(update={"others": (candidate(2, 0.89, 0.89),)})
    found = weighed(best, truths(0.9, 0.89, noise=0.2), costs | {2: Footprint(10, 1.0, 1.0)})
    assert (found.chosen.of, found.beats_baseline, found.gain) == (0, False, None)


def test_one_that_lost_a_replicate_is_not_chosen_for_its_size() -> None:
    lost = FOUND.others[0].model_copy(update={"missing": 1})
    told = FOUND.model_copy(update={"others": (lost, FOUND.others[1])})
    found = weighed(told, truths(*SEEN, noise=0.01), COSTS)
    assert (found.chosen.of, found.level) == (2, ())


def save(place: Path, digits: SequenceDataset) -> tuple[Result, LocalFolder]:
    folder = LocalFolder(place)
    runs = {2: (0, 1), 0: (2, 3), 3: (4, 5)}
    for run in range(6):
        torch.manual_seed(run)
        write_weights(SPEC, digits, folder.child("confirm").child(f"{run:06d}"))
    ones = {
        of: candidate(of, 0.9, 0.9, baseline=of == 0).model_copy(update={"runs": numbers})
        for of, numbers in runs.items()
    }
    return result(ones[2], ones[0]).model_copy(update={"others": (ones[3],)}), folder


def test_only_the_chosen_one_and_the_baseline_get_test_results(
    tmp_path: Path, digits: SequenceDataset
) -> None:
    found, kept = compare(*(saved := save(tmp_path, digits))[:1], SPEC, digits, saved[1])
    for one in found.measured:
        assert len(one.test) == len(one.train) == 2
        assert one.test_interval is not None
        assert set(one.scores) == set(Classes.names)
    assert [one.test for one in found.others] == [()] * len(found.others)
    assert found.chosen.weights == sum(
        weights.numel() for weights in network_of(digits).parameters()
    )
    answers = Answers.read(kept, found.chosen.of)
    assert answers.outputs[found.chosen.of].shape == (2, len(digits.validation), 10)
    assert answers.y.tolist() == digits.validation.y.tolist()
    assert (found.gain is None) == (found.test_gain is None) == found.chosen.baseline
    assert np.array(found.confusion).sum(1).tolist() == np.bincount(digits.test.y).tolist()
    right = np.trace(found.confusion) / len(digits.test)
    assert right == pytest.approx(found.chosen.test[found.chosen.runs.index(found.champion_run)])
    assert all(one.latency_ms for one in found.candidates)


def test_networks_answer_beside_each_other_on_one_thread_each(
    tmp_path: Path, digits: SequenceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    meet = Barrier(2, timeout=60)  # broken, were they asked in turn; every part has an even number
    asked: list[int] = []

    def met(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(torch.get_num_threads())
        meet.wait()
        return answers(*given)

    monkeypatch.setattr("search.winner.comparing.answers", met)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    found, folder = save(tmp_path, digits)
    try:
        compare(found, SPEC, digits, folder)
        assert set(asked) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_damaged_run_of_another_is_left_out(tmp_path: Path, digits: SequenceDataset) -> None:
    found, folder = save(tmp_path, digits)
    for run in (2, 4, 5):
        Checkpoints(folder.child("confirm").child(f"{run:06d}")).folder.clear()
    told, _ = compare(found, SPEC, digits, folder)
    assert told.others == ()
    (baseline,) = told.baselines
    assert (baseline.runs, baseline.missing) == ((3,), 1)
    assert (told.chosen.of, told.beats_baseline, told.lost_baseline) == (2, False, False)
    folder.child("confirm").child("000000").clear()
    with pytest.raises(DamagedError):
        compare(found, SPEC, digits, folder)


def network_of(digits: SequenceDataset) -> torch.nn.Module:
    from trainables.cells import RecurrentNetwork

    return RecurrentNetwork(SPEC.config(PARAMETERS), digits.shape)


def test_of_single_runs_only_test_results_are_known(
    tmp_path: Path, digits: SequenceDataset
) -> None:
    folder = LocalFolder(tmp_path)
    for run in (0, 2):
        write_weights(SPEC, digits, folder.child("search").child(f"{run:06d}"))
    ones = [
        candidate(of, value, baseline=of == 0).model_copy(update={"runs": (of,)})
        for of, value in ((2, 0.9), (0, 0.8))
    ]
    told = result(ones[0]).model_copy(
        update={"confirmed": False, "chance": None, "baselines": (ones[1],)}
    )
    found, _ = compare(told, SPEC, digits, folder)
    assert (found.chosen.of, found.beats_baseline, found.gain, found.test_gain) == (
        2, False, None, None
    )  # fmt: skip
    assert len(found.chosen.test) == 1


def answered(*right: int, of: int = 0) -> bytes:
    """Return kept answers of runs of which so many of a hundred are right."""
    outputs = torch.zeros(len(right), 100, 2)
    for run, number in enumerate(right):
        outputs[run, :number, 0] = 1
        outputs[run, number:, 1] = 1
    return Answers({of: outputs}, torch.zeros(100, dtype=torch.int64)).kept()


def test_a_lead_over_an_earlier_job_needs_the_same_labels() -> None:
    gain = lead(answered(90, 91, 92), answered(70, 71, 72), Classes(), FOUND)
    assert isinstance(gain, Gain)
    assert gain.value == pytest.approx(0.2)
    assert gain.probability > 0.99
    other = Answers({0: torch.zeros(2, 99, 2)}, torch.zeros(99, dtype=torch.int64)).kept()
    for theirs in (other, b"", answered(90)[:50]):
        assert lead(answered(90, 91), theirs, Classes(), FOUND) == UNKNOWN


def test_a_lead_that_nobody_can_be_sure_of_says_why() -> None:
    for ours, theirs in (((90,), (70, 71)), ((90, 91), (70,))):
        said = lead(answered(*ours), answered(*theirs), Classes(), FOUND)
        assert said == "a single run is sure of nothing"
    one = Answers({0: torch.eye(2)[:, None]}, torch.zeros(1, dtype=torch.int64)).kept()
    of_loss = FOUND.model_copy(update={"metric": "val_loss", "direction": "minimize"})
    assert lead(one, one, Classes(), of_loss) == "a single validation sequence is sure of nothing"


def test_a_network_that_fails_is_not_followed_by_others(
    tmp_path: Path, digits: SequenceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Event()
    asked: list[int] = []

    class Pool(ThreadPoolExecutor):
        def shutdown(self, *_: Any, **how: Any) -> None:
            super().shutdown(wait=False, cancel_futures=how.get("cancel_futures", False))
            ended.set()
            super().shutdown()

    def failing(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(len(asked))
        if len(asked) == 1:
            raise MemoryError
        ended.wait(60)  # the second, which had begun
        return answers(*given)

    monkeypatch.setattr("search.winner.comparing.answers", failing)
    monkeypatch.setattr("search.common.background.ThreadPoolExecutor", Pool)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    found, folder = save(tmp_path, digits)
    with pytest.raises(MemoryError):
        compare(found, SPEC, digits, folder)
    assert len(asked) <= 2 < sum(len(one.runs) for one in found.candidates)
