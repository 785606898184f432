import os

import pytest
import torch

from trainables.device import (
    PrecisionError,
    configure,
    has_bfloat16,
    pick_device,
    pick_precision,
    release,
    runs_bfloat16,
)

CPU = torch.device("cpu")


def test_configure_sets_threads_and_determinism() -> None:
    configure(threads=2)

    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"]


def test_without_gpus_the_device_is_the_processor() -> None:
    assert pick_device(0.0) == CPU


def test_a_share_of_a_gpu_is_the_first_that_the_worker_sees() -> None:
    wanted = "cuda:0" if torch.cuda.is_available() else "cpu"

    assert pick_device(0.5) == torch.device(wanted)


def test_auto_is_bfloat16_exactly_where_the_hardware_has_it() -> None:
    wanted = torch.bfloat16 if has_bfloat16(CPU) else torch.float32

    assert pick_precision("auto", CPU) is wanted
    assert pick_precision("float32", CPU) is torch.float32


def test_bfloat16_is_given_or_refused_with_the_reason() -> None:
    if runs_bfloat16():
        assert pick_precision("bfloat16", CPU) is torch.bfloat16
    else:
        with pytest.raises(PrecisionError, match="AVX-512 or AMX"):
            pick_precision("bfloat16", CPU)


def test_releasing_the_processor_is_nothing() -> None:
    release(CPU)
