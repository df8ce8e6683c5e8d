"""Where and how to compute: the only place that touches MindSpore's global state.

Everything the devices differ in starts here; `ops/` holds the few operators whose best form differs. What was run on
which device is in the README; Ascend paths are written from MindSpore's documentation.
"""

from __future__ import annotations

import gc
import importlib
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# oneDNN in MindSpore 2.8 and later picks a reference convolution on AVX-512 machines (100 times slower); it reads this
# when the library is loaded, so it is set before the import. A user's own setting wins.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")

os.environ.setdefault("GLOG_v", "3")                      # MindSpore's own log: errors only
os.environ.setdefault("OMP_WAIT_POLICY", "passive")       # MindSpore's idle threads must not spin beside our kernels'

import mindspore as ms

from sparktts_ms.errors import DeviceError
from sparktts_ms.ops.native import library
from sparktts_ms.ops.padding import padded_length

logger = logging.getLogger("sparktts_ms")

MODES = ("graph", "pynative")
DTYPES = ("float32", "bfloat16")
QUANTIZATIONS = ("none", "int8")
TARGETS = ("auto", "Ascend", "CPU")


@dataclass(frozen=True)
class Runtime:
    """A device, started. The package receives this and never asks the machine."""

    target: str                     # "Ascend" or "CPU"
    compiled: bool                  # graph mode
    llm_dtype: str                  # of the language model's matrices, "int8" included; the codec is always float32
    graphs: list[str] = field(default_factory=list)     # names of what has been compiled so far

    @classmethod
    def start(cls, target: str = "auto", device_id: int = 0, mode: str = "graph", dtype: str | None = None,
              quantize: str = "none") -> Runtime:
        """Claim a device. `dtype` None means bfloat16 on Ascend and float32 on CPU. `quantize` "int8" stores the language
        model's matrices in 8 bits, on the CPU; without its kernels they stay float32, and that is said.

        Raises DeviceError for a device that is not there, an unknown mode, or a data type without kernels.
        """
        for name, value, allowed in (("device_target", target, TARGETS), ("mode", mode, MODES), ("quantize", quantize, QUANTIZATIONS)):
            if value not in allowed:
                raise DeviceError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
        if dtype not in (None, *DTYPES):
            raise DeviceError(f"dtype is {dtype!r}; use float32 or bfloat16 (float16 breaks the language model).")
        if target == "auto":
            target = "Ascend" if _ascend_count() else "CPU"
        if dtype == "bfloat16" and target == "CPU":
            raise DeviceError("bfloat16 has no kernels on the CPU; use --dtype float32 there.")
        if quantize == "int8" and target == "Ascend":
            raise DeviceError("8-bit weights are computed by CPU kernels only; use quantize='none' on Ascend.")
        _claim(target, device_id)
        dtype = dtype or ("bfloat16" if target == "Ascend" else "float32")
        if quantize == "int8" and not library.enabled():
            logger.warning("8-bit weights need the compiled CPU kernels; float32 is used.")
        elif quantize == "int8":
            dtype = "int8"
        return cls(target, mode == "graph", dtype)

    @property
    def cache_dtype(self):
        """Of keys and values."""
        return ms.bfloat16 if self.llm_dtype == "bfloat16" else ms.float32

    @property
    def any_length(self) -> bool:
        """Whether long operators take utterances of any length as they are: true with the CPU kernels, which need no graph.
        Otherwise lengths are padded to a few fixed ones."""
        return library.enabled()

    def padded_length(self, length: int, sizes: Sequence[int]) -> int:
        """The length at which to compute."""
        return length if self.any_length else padded_length(length, sizes)

    def give_back_memory(self) -> None:
        """Let go of networks that nobody holds any more: PyNative mode remembers every Parameter it has met."""
        gc.collect()
        for home in ("mindspore.graph.api", "mindspore.common.api"):        # where it lives from 2.9 on, and before
            with suppress(ImportError, AttributeError):     # not public; without it the memory is only not given back
                importlib.import_module(home)._pynative_executor.clear_res()
                return

    def compile_padded(self, step: Callable, name: str) -> Callable:
        """`compile` for long operators: with the CPU kernels there is little to win, and lengths are free without graphs."""
        return step if self.any_length else self.compile(step, name)

    def compile(self, step: Callable, name: str) -> Callable:
        """`step` as a graph in graph mode, else as it is. One graph is made for each set of input shapes, so callers
        keep to a few fixed ones; each is logged when it is made, because the user waits for it."""
        if not self.compiled:
            return step
        graph, ready = ms.jit(step), set()

        def run(*inputs):
            shapes = tuple(() if x is None else x.shape for x in inputs)
            if shapes in ready:
                return graph(*inputs)
            label = f"{name} {'x'.join(map(str, max(shapes, key=math.prod)))}"
            logger.info("Compiling %s ...", label)
            began = time.perf_counter()
            outputs = graph(*inputs)
            logger.info("Compiled %s in %.1f s.", label, time.perf_counter() - began)
            ready.add(shapes)
            self.graphs.append(label)
            return outputs

        return run


def _ascend_count() -> int:
    if not any(Path("/dev").glob("davinci[0-9]*")):     # asking MindSpore where there is none prints warnings
        return 0
    try:
        from mindspore import hal
        return hal.device_count("Ascend") if hal.is_available("Ascend") else 0
    except (RuntimeError, ValueError, AttributeError, ImportError):
        return 0


def _claim(target: str, device_id: int) -> None:
    if target == "Ascend":
        count = _ascend_count()
        if not count:
            raise DeviceError("No Ascend device was found; check `npu-smi info` and the CANN environment, "
                              "or use --device_target CPU.")
        if not 0 <= device_id < count:
            raise DeviceError(f"Ascend device {device_id} is not there; this machine has 0 to {count - 1} (--device).")
        ms.set_device("Ascend", device_id)
        # CANN lets convolutions drop float32 to HF32 (10 bits) by default; the codec is to stay float32.
        precision = ms.device_context.ascend.op_precision
        precision.conv_allow_hf32(False)
        precision.matmul_allow_hf32(False)
    else:
        if device_id:
            raise DeviceError(f"Device {device_id} is not there: without Ascend there is only the CPU, device 0.")
        ms.set_device("CPU")
    ms.set_context(mode=ms.PYNATIVE_MODE)           # graphs are made by `compile`, one step each
    if target == "CPU":
        # PyNative's asynchronous pipeline starves itself on two cores: 80 us instead of 4 ms an operator.
        ms.runtime.launch_blocking()
        library.enable()
    else:
        library.disable()
