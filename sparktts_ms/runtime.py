"""Device, data types and execution mode: the only module that touches MindSpore's global state."""

from __future__ import annotations

import gc
import importlib
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import mindspore as ms

from sparktts_ms.errors import DeviceError
from sparktts_ms.ops import ascend
from sparktts_ms.ops.native import huge_pages, library
from sparktts_ms.ops.padding import padded_length
from sparktts_ms.ops.parameter import construct
from sparktts_ms.weights import memory
from sparktts_ms.weights.checkpoint import Checkpoint
from sparktts_ms.weights.weight_cache import WeightCache, default_folder

logger = logging.getLogger("sparktts_ms")

T = TypeVar("T")

# PyNative mode keeps an operator for each set of input shapes, for ever: 3.3 MB for each length of
# an utterance. They are freed when so many sets of shapes have been seen.
MAX_SHAPES = 32

CHOICES = {
    "device_target": ("auto", "Ascend", "CPU"),
    "mode": ("graph", "pynative"),
    "dtype": (None, "float32", "bfloat16"),     # float16 overflows in the language model
    "quantize": ("none", "int8", "int4"),
}


@dataclass(frozen=True)
class Runtime:
    """A configured device."""

    device_target: str      # "Ascend" or "CPU"
    graph_mode: bool        # networks are compiled
    llm_dtype: str          # of the language model, also "int8" or "int4"; the codec's is float32
    capture: bool = False   # decode steps are captured
    weight_cache: WeightCache | None = None     # of packed weights, with the CPU kernels
    low_memory: bool = False    # networks are freed after their use, part by part
    graphs: list[str] = field(default_factory=list)     # names of those compiled so far
    shapes: set[tuple] = field(default_factory=set)     # seen by networks without a graph

    @classmethod
    def start(cls, device_target: str = "auto", device_id: int = 0, mode: str = "graph",
              dtype: str | None = None, quantize: str = "none",
              capture: bool | None = None, weight_cache: bool = False,
              low_memory: bool = False) -> Runtime:
        """Configure a device; the parameters are those of `SparkTTS.from_pretrained`.

        Without the CPU kernels quantized weights fall back to float32 with a warning. Raises
        DeviceError for a device that is not available, or a value that it does not support.
        """
        for name, value in (("device_target", device_target), ("mode", mode), ("dtype", dtype),
                            ("quantize", quantize)):
            if value not in CHOICES[name]:
                names = ", ".join(filter(None, CHOICES[name]))
                raise DeviceError(f"{name} is {value!r}; it must be one of {names}.")
        if device_target == "auto":
            device_target = "Ascend" if _ascend_count() else "CPU"
            if device_target == "CPU" and (closed := _closed_device()):
                logger.warning("%s cannot be opened by this user; the CPU is used.", closed)
        if dtype == "bfloat16" and device_target == "CPU":
            raise DeviceError("bfloat16 has no kernels on the CPU.", "Use float32 there.")
        if quantize != "none" and device_target == "Ascend":
            raise DeviceError("Quantized weights are computed by CPU kernels only.",
                              "Use quantize='none' on Ascend.")
        if capture and (device_target == "CPU" or mode == "pynative"):
            raise DeviceError("Launches are captured in graph mode on Ascend only.")
        _set_device(device_target, device_id)
        if device_target == "Ascend":
            capture = ascend.settings().capture if capture is None else capture
            capture = capture and mode == "graph"
            _set_capture(capture)
        if dtype is None:
            dtype = "bfloat16" if device_target == "Ascend" else "float32"
        if quantize != "none" and not library.enabled():
            logger.warning("Quantized weights need the compiled CPU kernels; float32 is used.")
        elif quantize != "none":
            dtype = quantize
        folder = default_folder() if weight_cache and library.enabled() else None
        cache = None
        if folder is not None:
            cache = WeightCache(folder, library.version(), library.available_cores())
        return cls(device_target, mode == "graph", dtype, bool(capture), cache,
                   low_memory and device_target == "CPU")

    @property
    def arithmetic(self) -> str:
        """What computes: on it the last bits of a result depend."""
        return library.version() if library.enabled() else \
            f"MindSpore {ms.__version__} {self.device_target}"

    @property
    def cores(self) -> int:
        """That this process may use."""
        return library.available_cores()

    @property
    def cache_dtype(self):
        """Data type of the KV cache. Beside quantized weights it is float16, half the bytes: mean
        KL divergence from float32's distribution 0.00042 nats with int8 at the released size, and
        0.00041 with a float32 cache."""
        types = {"float32": ms.float32, "bfloat16": ms.bfloat16}
        return types.get(self.llm_dtype, ms.float16)

    @property
    def vocoder_tiles(self) -> bool:
        """Whether the wave generator computes by AMX with numbers that keep 16 bits. Only beside
        quantized weights: on the demonstration model's weights its samples are up to 2.2e-4 of the
        largest off, and 1.4e-6 in float32."""
        return self.llm_dtype in ("int8", "int4") and library.has_tiles()

    @property
    def prefill_chunk(self) -> int:
        """Prompt positions of a prefill chunk: more where a device computes many at once."""
        return 256 if self.device_target == "Ascend" else 64

    @property
    def variable_length(self) -> bool:
        """Whether inputs keep their length, with the CPU kernels, or are padded to buckets."""
        return library.enabled()

    def padded_length(self, length: int, buckets: Sequence[int]) -> int:
        """The length at which to compute."""
        return length if self.variable_length else padded_length(length, buckets)

    def construct(self, network: Callable[[Checkpoint], T], weights: Checkpoint, *settings: object,
                  mapped: bool = False) -> T:
        """network(weights), with what it packs from the weight cache where that has it.

        settings: what its constants depend on beside weights and code. mapped: the file of the
        cache is mapped, else read into huge pages. Raises WeightsError.
        """
        allocate = None if mapped else huge_pages.allocate_huge
        return construct(network, weights, self.weight_cache, *settings, allocate=allocate)

    def release_memory(self) -> None:
        """Free networks that are not referenced: PyNative mode remembers every Parameter."""
        gc.collect()
        self._free_operators()
        memory.trim_heap()

    def release_mapped(self) -> None:
        """With `low_memory`: free the pages of mapped weights until they are used again."""
        if self.low_memory:
            memory.release_mapped()

    def _free_operators(self) -> None:
        """Free what PyNative mode remembers; it is made again where it is needed."""
        self.shapes.clear()
        # Not public, and in another module before 2.9; without it the memory is not freed.
        for module in ("mindspore.graph.api", "mindspore.common.api"):
            with suppress(ImportError, AttributeError):
                importlib.import_module(module)._pynative_executor.clear_res()
                return

    def compile_padded(self, network: Callable, name: str) -> PaddedNetwork:
        """`compile` for a network with padded inputs. Without padding it needs no graph, but may
        have some (see PaddedNetwork)."""
        graph = self.compile(network, name)
        if self.variable_length:
            return PaddedNetwork(self.bound_memory(network, name), graph)
        return PaddedNetwork(graph, graph)

    def bound_memory(self, network: Callable, name: str) -> Callable:
        """A network without a graph, for inputs of any number of shapes."""

        def run(*inputs):
            shapes = (name, *_shapes(inputs))
            if shapes not in self.shapes and len(self.shapes) >= MAX_SHAPES:
                self._free_operators()
            self.shapes.add(shapes)
            return network(*inputs)

        return run

    def compile(self, network: Callable, name: str) -> Callable:
        """A Cell or function, in graph mode as one graph for each set of input shapes.

        Each compilation is logged, because the user waits for it.
        """
        if not self.graph_mode:
            return network

        def call(*inputs):
            return network(*inputs)

        options = {}
        if self.device_target == "Ascend":
            options["jit_level"] = ascend.settings().jit_level
        graph = ms.jit(call if isinstance(network, ms.nn.Cell) else network, **options)
        return self._logged(graph, name)

    def compile_decode_step(self, step: ms.nn.Cell, name: str, *inputs: ms.Tensor) -> Callable:
        """`compile` for a decode step; with `capture` its launches are recorded, and replayed as
        one. inputs: what it takes, of shapes with None for the batch.

        MindSpore captures one graph in a process, of a Cell in the phase "increment", for each
        shape that it was given twice in succession; other decode steps are compiled.
        """
        global _captured_step
        if not self.capture or _captured_step:
            return self.compile(step, name)
        _captured_step = True
        step.phase = "increment"
        step.set_inputs(*inputs)
        return self._logged(ms.jit(step, jit_level="O0", infer_boost="on"), f"captured {name}")

    def _logged(self, graph: Callable, name: str) -> Callable:
        """The graph, with a line in the log for each compilation."""
        compiled = set()

        def run(*inputs):
            shapes = tuple(() if x is None else x.shape for x in inputs)
            if shapes in compiled:
                return graph(*inputs)
            label = f"{name} {'x'.join(map(str, max(shapes, key=math.prod)))}"
            logger.info("Compiling %s ...", label)
            began = time.perf_counter()
            outputs = graph(*inputs)
            logger.info("Compiled %s in %.1f s.", label, time.perf_counter() - began)
            compiled.add(shapes)
            self.graphs.append(label)
            return outputs

        return run


class PaddedNetwork:
    """A network with a graph for each set of input shapes; or, where inputs are not padded, without
    one but for those that `compile` was given. A graph computes the same, in half the time where
    inputs are short."""

    def __init__(self, network: Callable, graph: Callable):
        self._network = network
        self._graph = graph
        self._compiled: set[tuple] = set()

    def __call__(self, *inputs):
        if self._compiled and _shapes(inputs) in self._compiled:
            return self._graph(*inputs)
        return self._network(*inputs)

    def compile(self, *inputs) -> None:
        """Have a graph for inputs of these shapes from now on."""
        if _shapes(inputs) not in self._compiled:
            self._graph(*inputs)
            self._compiled.add(_shapes(inputs))


def _shapes(inputs: tuple) -> tuple:
    return tuple(None if x is None else tuple(x.shape) for x in inputs)


_captured_step = False      # whether this process has captured a graph


def _devices(pattern: str = "davinci[0-9]*") -> list[Path]:
    folder = Path(os.environ.get("SPARKTTS_DEVICE_FOLDER", "/dev"))     # set by tests.ascend
    return sorted(folder.glob(pattern))


def _closed_device() -> Path | None:
    """A device that is there, but not for this user: in containers it belongs to a group of the
    host's."""
    closed = (path for path in _devices("davinci*") if not os.access(path, os.R_OK | os.W_OK))
    return next(closed, None)


def _ascend_count() -> int:
    if not _devices():                                  # MindSpore prints warnings without one
        return 0
    try:
        from mindspore import hal
        return hal.device_count("Ascend") if hal.is_available("Ascend") else 0
    except (RuntimeError, ValueError, AttributeError, ImportError):
        return 0


def _chip_name(device_id: int) -> str:
    """The chip's name, such as Ascend910B2."""
    return ms.hal.get_device_name(device_id, "Ascend")


def _set_capture(capture: bool) -> None:
    ascend.apply(replace(ascend.settings(), capture=capture))
    if capture or hasattr(ms.runtime, "set_kernel_launch_capture"):     # not in 2.7
        ms.runtime.set_kernel_launch_capture(capture)


def _set_device(device_target: str, device_id: int) -> None:
    count = _ascend_count() if device_target == "Ascend" else 1
    closed = None if count else _closed_device()
    if closed is not None:
        raise DeviceError("The Ascend device {subject} cannot be opened by this user.",
                          "Give it the group that owns the device, or use the CPU with "
                          "device_target='CPU'.", subject=closed, code="ascend_permission")
    if not count:
        raise DeviceError(
            "No Ascend device was found.", "Check `npu-smi info` and the CANN environment, or use "
            "the CPU with device_target='CPU'.", code="no_ascend")
    if not 0 <= device_id < count:
        raise DeviceError(f"{device_target} device {device_id} does not exist; device_id must be "
                          f"below {count} on this machine.")
    if device_target == "Ascend":
        ms.set_device("Ascend", device_id)
        chip = _chip_name(device_id)
        ascend.check_chip(chip)
        ascend.apply(ascend.read_settings(chip))
        # CANN computes float32 convolutions in HF32 (10 bits) by default; the codec needs float32.
        precision = ms.device_context.ascend.op_precision
        precision.conv_allow_hf32(ascend.settings().allow_hf32)
        precision.matmul_allow_hf32(ascend.settings().allow_hf32)
        library.disable()
        # With one thread, its default on few cores, MindSpore has another executor, three times
        # slower, which waits for each input and captures nothing. The number can be set once.
        with suppress(RuntimeError):
            ms.runtime.dispatch_threads_num(max(2, min(5, os.cpu_count() or 1)))
    else:
        ms.set_device("CPU")
    ms.set_context(mode=ms.PYNATIVE_MODE)           # `compile` makes graphs, one network each
    if device_target == "CPU":
        # PyNative's asynchronous pipeline on two cores takes 4 ms an operator instead of 80 us.
        ms.runtime.launch_blocking()
        library.enable()
