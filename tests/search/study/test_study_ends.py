"""How trials of a study fail and how the search ends, on every database that it may live in."""

import math

import pytest
from optuna.trial import TrialState

from search.common.trial import Verdict
from search.database.lease import Lease
from search.database.store import Store
from search.database.tables import Run
from search.study.study import JobStudy
from tests.search.conftest import asked
from tests.search.study.conftest import BASELINE, metrics, reopen, run_trial


class TestOnEveryDatabase:
    def test_three_lost_attempts_in_a_row_fail_a_trial(self, opened: Store, lease: Lease) -> None:
        study = reopen(opened, lease, "budget.trials=1")
        for again in (True, True, False):
            live = study.ask()
            assert live is not None
            assert study.fail(0, "Traceback: it is poison") is again
        assert study.ended == {0: "failed"}
        trial = study.storage.optuna.get_all_trials(study.study_id)[0]
        assert trial.state is TrialState.FAIL
        assert trial.user_attrs["reason"] == "Traceback: it is poison"
        with opened.session() as session:
            run = session.get_one(Run, (study.name, 0))
        assert (run.status, run.attempts) == ("FAILED", 3)
        study.shut()

    def test_out_of_memory_is_tried_alone_after_all_others_and_over_restarts(
        self, opened: Store, lease: Lease
    ) -> None:
        study = reopen(opened, lease, "budget.trials=2")
        assert study.ask() is not None
        assert study.fail(0, "torch.OutOfMemoryError: CUDA out of memory")
        other = study.ask()
        assert (other and other.number) == 1
        assert study.ask() is None  # it waits for the other to end
        study.shut()
        again = reopen(opened, lease, "budget.trials=2")
        assert run_trial(again, 0.5) == 1
        alone = again.ask()
        assert (alone and alone.number) == 0
        assert not again.fail(0, "MemoryError")
        assert again.ended == {1: "complete", 0: "failed"}
        again.shut()

    @pytest.mark.parametrize(
        "reason",
        [
            "OSError: [Errno 28] No space left on device",
            "trainables.device.PrecisionError: precision bfloat16 needs a GPU that has it",
        ],
    )
    def test_what_is_wrong_with_a_machine_costs_no_attempt(
        self, study: JobStudy, reason: str
    ) -> None:
        for _ in range(4):
            live = study.ask()
            assert (live and live.number) == 0
            assert study.fail(0, reason)

    def test_failure_after_failure_is_noticed_and_an_epoch_ends_it(
        self, opened: Store, lease: Lease
    ) -> None:
        study = reopen(opened, lease, "budget.trials=20")

        def fail_one() -> None:
            live = study.ask()
            assert live is not None
            live.lost_after = [0, 0]
            assert not study.fail(live.number, "ImportError")

        for _ in range(4):
            fail_one()
        run_trial(study, 0.5)
        for failing in (False, False, False, False, True):
            fail_one()
            assert study.is_failing is failing
        study.shut()

    def test_while_every_attempt_is_lost_nothing_fresh_starts(
        self, opened: Store, lease: Lease
    ) -> None:
        study = reopen(opened, lease, "budget.trials=20")
        for _ in range(5):
            for _ in range(2):  # the third attempt is alone, and last
                live = study.ask()
                assert live is not None
                assert study.fail(live.number, "the worker was lost")
        last = study.ask()
        assert (last and last.number) == 0
        study.report(0, 1, metrics(0.5), "complete")
        fresh = study.ask()
        assert (fresh and fresh.number) == 5
        study.shut()

    def test_reaching_the_target_ends_the_search(self, opened: Store, lease: Lease) -> None:
        study = reopen(opened, lease, "budget.target=0.8")
        other = study.ask()
        assert other is not None
        run_trial(study, 0.85)
        assert study.report(other.number, 1, metrics(0.2), "running") is Verdict.BUDGET
        assert study.ended == {1: "complete", 0: "budget"}
        assert study.done
        study.shut()
        again = reopen(opened, lease, "budget.target=0.8")
        assert again.done
        again.shut()

    def test_what_is_no_number_reaches_no_target(self, opened: Store, lease: Lease) -> None:
        study = reopen(opened, lease, "budget.target=0.8")
        live = asked(study)
        assert study.report(live.number, 1, metrics(math.nan), "running") is not Verdict.COMPLETE
        study.shut()

    def test_a_baseline_that_costs_too_much_reaches_no_target(
        self, opened: Store, lease: Lease
    ) -> None:
        rules = ("budget.target=0.8", "objective.limits={weights: 100}")
        study = reopen(opened, lease, *rules, fixed=(BASELINE,))
        live = asked(study)
        study.report(live.number, 1, metrics(0.9) | {"weights": 200.0}, "complete")
        assert not study.is_closed
        study.shut()
        again = reopen(opened, lease, *rules, fixed=(BASELINE,))
        assert not again.is_closed
        again.shut()

    def test_what_is_lost_once_the_budget_is_spent_is_not_tried_again(
        self, study: JobStudy
    ) -> None:
        live = asked(study)
        study.close("hours")
        assert study.left == 1
        assert not study.fail(live.number, "the worker was lost")
        assert study.ended == {0: "budget"}
        assert study.left == 0

    def test_spent_hours_end_what_waits(self, study: JobStudy) -> None:
        live = study.ask()
        assert live is not None
        study.requeue(live.number)
        study.close("hours")
        assert study.ended == {0: "budget"}
        assert study.ask() is None
        assert study.done

    def test_a_small_space_ends_when_exhausted(self, opened: Store, lease: Lease) -> None:
        study = reopen(
            opened, lease, "space={cell: [lstm, gru], hidden_size: [8, 16]}", "sampler=random"
        )
        for _ in range(4):
            run_trial(study, 0.5)
        assert study.ask() is None
        assert (study.closed, study.left) == ("exhausted", 0)
        study.close("hours")
        assert study.is_spent
        study.close("exhausted")
        assert study.closed == "hours"
        trials = study.storage.optuna.get_all_trials(study.study_id)
        assert len({tuple(sorted(t.params.items())) for t in trials}) == len(trials) == 4
        study.shut()
