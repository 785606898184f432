"""Where and how exactly a trial computes: everything that depends on the device is here."""

import os

import torch


class PrecisionError(ValueError):
    """The precision that was asked for cannot be had on this device."""


def configure(threads: int) -> None:
    """Make this process compute the same numbers every time.

    Must run before CUDA is first used in the process.

    Args:
        threads: processor threads for one operation, at least 1.
    """
    # cuBLAS and cuDNN's recurrent layers read this when CUDA starts; of the values that each of
    # them names as deterministic, it is the one that both name.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    torch.set_num_threads(threads)
    # Not `use_deterministic_algorithms`, which does the same and loads torch's compiler: 1.5 s.
    torch.set_deterministic_debug_mode("error")
    # Nothing here reads memory before writing it, and filling it would cost time at every step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def pick_device(gpus: float) -> torch.device:
    """Return the device of a worker that was given ``gpus`` GPUs, which may be a fraction.

    Ray shows a worker only the GPU that it assigned, through ``CUDA_VISIBLE_DEVICES``, so that
    the assigned one is always the first.
    """
    return torch.device("cuda:0" if gpus > 0 and torch.cuda.is_available() else "cpu")


def pick_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return the type that matrix products are computed in.

    Args:
        precision: ``float32``, ``bfloat16``, or ``auto`` for bfloat16 where it is in hardware.
        device: where the products are computed.

    Raises:
        PrecisionError: bfloat16 was asked for and the processor cannot do it at all.
    """
    if precision == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    if precision == "bfloat16" and device.type == "cpu" and not runs_bfloat16():
        raise PrecisionError(
            "precision bfloat16 needs a processor with AVX-512 or AMX, which this one has not; "
            "auto picks what the hardware has"
        )
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware, so that it is faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def runs_bfloat16() -> bool:
    """Whether oneDNN, which runs LSTM on the processor, can compute in bfloat16 at all."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def release(device: torch.device) -> None:
    """Give cached memory back, so that the next trial or another worker can have it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
