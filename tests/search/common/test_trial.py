import pytest
from optuna.trial import TrialState, create_trial

from search.common.trial import LiveTrial, Loss, loss_of, state_of
from trainables.config import TrialConfig


def live(**facts: object) -> LiveTrial:
    made = LiveTrial(number=0, trial_id=1, config=TrialConfig(), seed=0, baseline=False)
    for name, value in facts.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("reason", "loss"),
    [
        ("Traceback ...\nMemoryError\n", Loss.MEMORY),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 4 GiB", Loss.MEMORY),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20 MiB", Loss.MEMORY),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory", Loss.MEMORY),
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node", Loss.MEMORY),
        ("torch.AcceleratorError: CUDA error: out of memory", Loss.MEMORY),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling", Loss.MEMORY),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED", Loss.MEMORY),
        ("OSError: [Errno 28] No space left on device", Loss.DISK),
        ("OSError: [Errno 122] Disk quota exceeded", Loss.DISK),
        ("The actor died: (1) the process was killed by the OOM killer due to high", Loss.OTHER),
        ("trainables.folder.FolderError: s3://b/x cannot be used: no answer", Loss.STORE),
        ("ValueError: bad", Loss.OTHER),
    ],
)
def test_a_loss_is_known_by_its_message(reason: str, loss: Loss) -> None:
    assert loss_of(reason) is loss


def test_progress_between_losses_gives_new_attempts() -> None:
    trial = live()
    for epoch in range(10):
        trial.acknowledged = epoch
        assert trial.lose(Loss.OTHER)
        assert trial.lose(Loss.OTHER)
    assert not trial.lose(Loss.OTHER)


def test_the_last_attempt_is_alone() -> None:
    trial = live()
    alone = []
    while trial.lose(Loss.OTHER):
        alone.append(trial.alone)
    assert alone == [False, True]


def test_out_of_memory_has_one_more_attempt_alone() -> None:
    trial = live()
    assert trial.lose(Loss.MEMORY)
    assert trial.alone
    assert not trial.lose(Loss.MEMORY)


def test_pruned_trials_are_told_apart() -> None:
    def pruned(**attrs: bool) -> str:
        return state_of(create_trial(state=TrialState.PRUNED, user_attrs=dict(attrs)))

    assert [pruned(), pruned(diverged=True), pruned(budget=True)] == [
        "pruned",
        "diverged",
        "budget",
    ]
    assert state_of(create_trial(state=TrialState.FAIL)) == "failed"
