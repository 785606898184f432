import ctypes
import os
import resource
from unittest.mock import patch

import pytest
import torch

from trainables.config import Precision, TrialConfig
from trainables.device import (
    PrecisionError,
    configure,
    has_fast_bfloat16,
    keep_memory,
    pick_device,
    pick_precision,
    release,
    runs_bfloat16,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


def test_configure_sets_threads_and_determinism() -> None:
    configure(threads=2)

    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"]


def test_numbers_that_a_processor_is_slow_with_are_taken_for_zero() -> None:
    torch.set_flush_denormal(False)
    assert torch.tensor(1e-30) * 1e-10 > 0

    configure(threads=1)

    assert torch.tensor(1e-30) * 1e-10 == 0


def test_without_gpus_the_device_is_the_processor() -> None:
    assert pick_device(0.0) == CPU


def test_a_share_of_a_gpu_is_the_first_that_the_worker_sees() -> None:
    wanted = "cuda:0" if torch.cuda.is_available() else "cpu"

    assert pick_device(0.5) == torch.device(wanted)


@pytest.mark.parametrize(
    ("instructions", "cell", "hidden_size", "wanted"),
    [
        ("avx512_bf16", "lstm", 63, "float32"),
        ("avx512_bf16", "lstm", 64, "bfloat16"),
        ("avx512_bf16", "gru", 256, "float32"),
        ("amx_bf16", "lstm", 64, "bfloat16"),
        ("amx_bf16", "gru", 191, "float32"),
        ("amx_bf16", "gru", 192, "bfloat16"),
        ("avx512_f", "lstm", 256, "float32"),
        ("avx512_f", "gru", 256, "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_has_it_and_the_network_gains(
    instructions: str, cell: str, hidden_size: int, wanted: Precision
) -> None:
    config = TrialConfig.model_validate({"cell": cell, "hidden_size": hidden_size})

    with patch("torch.cpu.get_capabilities", lambda: {instructions: True}):
        assert pick_precision(config, CPU) == wanted


@pytest.mark.parametrize(
    ("instructions", "fast"),
    [
        ("avx512_f", False),
        ("avx512_bf16", True),
        ("avx512_bf16 avx512_fp16 amx_bf16", True),
        ("avx512_bf16 avx512_fp16", False),
    ],
)
def test_a_processor_is_fast_in_bfloat16_by_its_instructions(instructions: str, fast: bool) -> None:
    named = torch.cpu.get_capabilities()
    has = dict.fromkeys(instructions.split(), True)

    assert has.keys() <= named.keys()
    with patch("torch.cpu.get_capabilities", lambda: has):
        assert has_fast_bfloat16(CPU) == fast


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("has", [False, True])
def test_on_a_gpu_auto_is_bfloat16_where_the_network_gains(cell: str, has: bool) -> None:
    narrow, wide = (
        TrialConfig.model_validate({"cell": cell, "hidden_size": size}) for size in (191, 192)
    )

    with patch("trainables.device.has_fast_bfloat16", lambda _: has):
        assert pick_precision(narrow, GPU) == "float32"
        assert pick_precision(wide, GPU) == ("bfloat16" if has else "float32")


def test_a_gpu_without_bfloat16_refuses_it() -> None:
    with (
        patch("trainables.device.has_fast_bfloat16", lambda _: False),
        pytest.raises(PrecisionError, match="needs a GPU that has it, which this one is not"),
    ):
        pick_precision(TrialConfig(precision="bfloat16"), GPU)


def test_what_is_asked_for_is_given_or_refused_with_the_reason() -> None:
    asked = TrialConfig(precision="bfloat16")
    assert pick_precision(TrialConfig(precision="float32"), CPU) == "float32"
    if runs_bfloat16(CPU):
        assert pick_precision(asked, CPU) == "bfloat16"
    else:
        with pytest.raises(PrecisionError, match="AVX-512 or AMX"):
            pick_precision(asked, CPU)


def asked_for() -> int:
    """Return how many pages the kernel clears for four blocks of 8 MiB: 16, if they are huge."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    [torch.ones(8, 1 << 18) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


def test_memory_is_kept_for_the_next_operation_until_it_is_released() -> None:
    keep_memory(varies=False)
    asked = [asked_for() for _ in range(40)]
    assert max(asked[-5:]) < 16  # once the blocks have found their places

    release(CPU)
    assert asked_for() >= 16


class Mallinfo(ctypes.Structure):
    """What glibc's `mallinfo2` returns."""

    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]


def apart() -> int:
    """Return how many blocks the kernel has given one by one, and gets back when they are freed."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Mallinfo
    return int(mallinfo2().hblks)


@pytest.mark.parametrize(
    ("varies", "mib", "is_apart"), [(True, 64, False), (True, 256, True), (False, 256, False)]
)
def test_larger_blocks_are_kept_where_all_have_one_length(
    varies: bool, mib: int, is_apart: bool
) -> None:
    keep_memory(varies=varies)
    before = apart()
    block = torch.empty(mib << 20, dtype=torch.uint8)
    assert (apart() - before, block.nbytes) == (is_apart, mib << 20)
