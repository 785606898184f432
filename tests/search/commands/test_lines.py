"""What a person reads of a job that is followed from elsewhere."""

import pytest

from search.commands.lines import Lines


class TestLines:
    def lines(self, direction: str = "maximize") -> Lines:
        objective = {"metric": "val_loss", "direction": direction}
        return Lines({"id": "x", "objective": objective, "trials": {"budget": 4}})

    def test_a_status_is_said_once(self) -> None:
        lines = self.lines()
        said = [
            list(lines.of("job", {"status": status, "message": message}))
            for status, message in (("running", None), ("running", None), ("failed", "why"))
        ]
        assert said == [["running"], [], ["failed: why"]]

    @pytest.mark.parametrize(("direction", "best"), [("maximize", 0.5), ("minimize", 0.25)])
    def test_a_trial_is_said_at_its_end_with_its_best_epoch(
        self, direction: str, best: float
    ) -> None:
        lines = self.lines(direction)
        trial = {"study": "x", "trial": 0, "name": "000 LSTM"}
        for epoch, value in enumerate([0.375, 0.5, None, 0.25], start=1):
            metrics = {"val_loss": value, "val_accuracy": 0.0}
            assert not list(lines.of("epoch", trial | {"epoch": epoch, "metrics": metrics}))
        assert not list(lines.of("trial", trial | {"state": "running"}))
        assert not list(lines.of("trial", trial | {"state": "waiting"}))
        (said,) = lines.of("trial", trial | {"state": "pruned"})
        assert said == f"000 LSTM  pruned after 4 epochs  val_loss {best:.4f}  1/4"

    def test_a_trial_without_epochs(self) -> None:
        trial = {"study": "x", "trial": 0, "name": "000 LSTM", "state": "failed"}
        assert list(self.lines().of("trial", trial)) == ["000 LSTM  failed after 0 epochs  1/4"]

    def test_a_run_that_confirms_is_not_counted(self) -> None:
        run = {"study": "x/confirm", "trial": 0, "name": "confirm 000 LSTM", "state": "complete"}
        assert list(self.lines().of("trial", run)) == ["confirm 000 LSTM  complete after 0 epochs"]

    def test_a_sign_of_life_is_not_said(self) -> None:
        assert list(self.lines().of("", {})) == []
