"""Where and how exactly a trial computes.

What depends on the device beside this: how a batch is learned (`trainables.learning`), to which
lengths it is padded (`trainables.batches`), and the gradients of GRUs (`trainables.gru`) and their
products (`trainables.products`).
"""

import ctypes
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch

from trainables.config import Precision, TrialConfig
from trainables.products import has_faster

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""The type of each precision."""

ARITHMETIC = "GRUs with gradients of Gatetune's own, also in bfloat16, nothing below 1e-38"
"""What of this code decides the last digits on a processor, beside PyTorch and the machine."""

ARITHMETIC_BY_ONEDNN = f"{ARITHMETIC}, their larger products by oneDNN"
"""The same where `trainables.products` has a faster library."""

ARITHMETIC_ON_GPU = "graphs, bfloat16 by a copy"
"""The same of a GPU."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
"""What `keep_memory` sets, as glibc's malloc.h numbers it."""

LARGEST_BYTES = 128 << 20
"""The largest block that is kept where sequences are of unequal lengths, and no block fits where
another was: of all blocks training took more than twice the memory there."""

DOCUMENTED_BYTES = 32 << 20
"""The largest that glibc's manual allows, and that its older versions take."""

GLIBC_APART = 65536
"""How many larger blocks glibc itself would take from the kernel, each apart."""


class PrecisionError(ValueError):
    """The precision that was asked for cannot be had on this device."""


def configure(threads: int) -> None:
    """Make this process compute the same numbers every time, and at the same speed.

    Must run before CUDA is first used in the process.

    Args:
        threads: processor threads for one operation, at least 1.
    """
    # cuBLAS and cuDNN's recurrent layers read this when CUDA starts; of the values that each of
    # them names as deterministic, it is the one that both name.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    # In KiB: more than the 8 times 16 above cannot be had, and PyTorch would warn.
    os.environ.setdefault("CUBLASLT_WORKSPACE_SIZE", "128")
    torch.set_num_threads(threads)
    # Not `use_deterministic_algorithms`, which does the same and loads torch's compiler: 1.5 s.
    torch.set_deterministic_debug_mode("error")
    # Nothing here reads memory before writing it, and filling it would cost time at every step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    # A network that has learned all it can has gradients near zero, and a processor takes ten times
    # as long for numbers below 1e-38, which add nothing to a weight.
    torch.set_flush_denormal(True)


def keep_memory(*, varies: bool) -> None:
    """Have the memory that operations free stay with this process until `release`.

    Else glibc hands most of it back after each step, and the kernel has to clear it anew for the
    next: two fifths of an LSTM's step over 500 steps (`benchmarks.kept_memory`).

    Args:
        varies: whether sequences are of unequal lengths.
    """
    if libc := glibc():
        libc.mallopt(M_TRIM_THRESHOLD, -1)
        libc.mallopt(M_MMAP_MAX, GLIBC_APART if varies else 0)
        if not libc.mallopt(M_MMAP_THRESHOLD, LARGEST_BYTES):
            libc.mallopt(M_MMAP_THRESHOLD, DOCUMENTED_BYTES)


def glibc() -> ctypes.CDLL | None:
    """Return this process's C library, if it is GNU's, which alone can be told what to keep."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") else None


@contextmanager
def one_thread() -> Iterator[None]:
    """Let an operation of PyTorch, here and in threads that start within, compute on one thread.

    Of several each waits for the others at every step of a sequence, and computes nothing while it
    does: where somebody else has a processor, too, that may take ten times as long.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def pick_device(gpus: float) -> torch.device:
    """Return the device of a worker that was given ``gpus`` GPUs, which may be a fraction.

    Ray shows a worker only the GPU that it assigned, through ``CUDA_VISIBLE_DEVICES``, so that
    the assigned one is always the first.
    """
    return torch.device("cuda:0" if gpus > 0 and torch.cuda.is_available() else "cpu")


def pick_precision(config: TrialConfig, device: torch.device) -> Precision:
    """Return what a trial's matrix products are computed in.

    Args:
        config: precision is read, and where that is ``auto``, what tells whether it gains.
        device: where the products are computed.

    Raises:
        PrecisionError: bfloat16 was asked for and the device cannot do it.
    """
    if config.precision == "auto":
        if device.type == "cuda":
            worth_it = config.gains_on_a_gpu
        else:
            worth_it = config.gains_by_bfloat16 or (config.gains_by_amx and has_amx())
        return "bfloat16" if worth_it and has_fast_bfloat16(device) else "float32"
    if config.precision == "bfloat16" and not runs_bfloat16(device):
        needed = "processor with AVX-512 or AMX" if device.type == "cpu" else "GPU that has it"
        raise PrecisionError(
            f"precision bfloat16 needs a {needed}, which this one is not; auto picks what the "
            "hardware has where a trial begins, and the trial keeps it"
        )
    return config.precision


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware, and faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    # Intel's processors with AVX512-FP16 multiply bfloat16 in AMX. Where a virtual machine hides
    # that, what is left takes twice as long as float32 (`benchmarks/notes/training_rate.md`).
    in_vectors = found.get("avx512_bf16") and not found.get("avx512_fp16")
    return has_amx() or bool(in_vectors)


def has_amx() -> bool:
    """Whether the processor multiplies bfloat16 in AMX, its unit for matrices."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def runs_bfloat16(device: torch.device) -> bool:
    """Whether the device's recurrent layers, on a processor oneDNN's, can be in bfloat16 at all."""
    if device.type == "cuda":
        return has_fast_bfloat16(device)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def watch_memory(device: torch.device) -> None:
    """Count a GPU's memory from here on: what `peak_mb` returns."""
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]  # which nothing may have done yet
        torch.cuda.reset_peak_memory_stats(device)


def peak_mb(device: torch.device) -> float | None:
    """Return the most memory that this process kept on a GPU; None on a processor."""
    return torch.cuda.max_memory_reserved(device) / 1e6 if device.type == "cuda" else None


def size_mb(device: torch.device) -> float | None:
    """Return how much memory a GPU has; None for a processor."""
    if device.type != "cuda":
        return None
    return float(torch.cuda.get_device_properties(device).total_memory / 1e6)


@lru_cache(maxsize=1)
def machine(device: torch.device) -> str:
    """Return, as JSON, what decides the last digits of what is computed here, by name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    on_gpu = device.type == "cuda"
    arithmetic = ARITHMETIC_BY_ONEDNN if has_faster() else ARITHMETIC
    found = {
        "torch": torch.__version__,
        "arithmetic": ARITHMETIC_ON_GPU if on_gpu else arithmetic,
        "processor": names[0] if names else platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
    }
    return json.dumps(found)


def release(device: torch.device) -> None:
    """Give memory that is kept back, so that the next trial or another worker can have it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if libc := glibc():
        libc.malloc_trim(0)
