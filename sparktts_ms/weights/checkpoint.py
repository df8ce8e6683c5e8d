"""A checkpoint, from which networks take their weights: all of them, each once, each of its shape.

A network's constructor takes each tensor by its name in the released checkpoint, with the shape it
must have. `finish` then checks that no tensor is left but those that are ignored on purpose. Names
that other tools wrap or prefix are brought to those of the release first.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from sparktts_ms.errors import ModelError, WeightsError, quoted
from sparktts_ms.weights import formats
from sparktts_ms.weights.meta_array import MetaArray
from sparktts_ms.weights.safetensors_file import (
    FLOAT_HINT,
    SafetensorsFile,
    WeightsFile,
    read_start,
)
from sparktts_ms.weights.sharded_file import ShardedFile
from sparktts_ms.weights.torch_file import TorchFile

FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
BLOCK_ROWS = 4096       # that are compared at once
BLOCK_CHANNELS = 64     # that are scaled at once

# Components that PyTorch and peft put into names: torch.compile, FSDP, activation checkpoints,
# Accelerate, and a layer that an adapter wraps.
WRAPPERS = frozenset(("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
                      "_forward_module", "base_layer"))
# weight_norm of PyTorch 2.0 and later, which is a parametrization.
WEIGHT_NORM = re.compile(r"parametrizations\.weight\.original([01])$")
# Buffers of transformers that are computed, not learned.
BUFFERS = (r".*\.rotary_emb\.(inv_freq|original_inv_freq|cos_cached|sin_cached)",
           r".*\.(masked_bias|position_ids)", r".*\.self_attn\.bias")


class Layout(NamedTuple):
    """How a network's tensors are named in its released checkpoint.

    root: what most names begin with; files of the bare network leave it out. landmark: a tensor
    below `root` by which a prefix that a tool added is recognized. outside: beginnings of names
    that are not below `root`.
    """

    root: str
    landmark: str
    outside: tuple[str, ...] = ()


class Checkpoint:
    """The tensors of a weights file below a name prefix. Views share what has been taken.

    layout: how the network's tensors are named, for files that name them otherwise.
    Raises WeightsError if the file is missing or damaged, or names a tensor twice.
    """

    def __init__(self, path: str | Path, layout: Layout | None = None):
        self.path = Path(path)
        self.prefix = ""
        self.file = open_weights(path)
        self.taken: set[str] = set()
        self.layout = layout
        self.has_values = True
        self.stored_names: dict[str, str] = {}      # name in the release -> name in the file
        for stored, name in _released_names(self.file.info, layout).items():
            if name in self.stored_names:
                raise self._misfit(f"has {quoted(name)} twice: as {quoted(stored)} and as "
                                   f"{quoted(self.stored_names[name])}.", "Save one of them.")
            self.stored_names[name] = stored

    def untaken(self) -> Checkpoint:
        """The same tensors, none of them taken."""
        view = copy.copy(self)
        view.taken = set()
        return view

    def without_values(self) -> Checkpoint:
        """The same tensors, taken as far as these are; `take` checks them and returns a MetaArray,
        and nothing is read."""
        view = copy.copy(self)
        view.taken = set(self.taken)
        view.has_values = False
        return view

    def at(self, prefix: str) -> Checkpoint:
        """The tensors whose names begin with `prefix` and a dot, without it."""
        view = copy.copy(self)
        view.prefix = f"{self.prefix}{prefix}."
        return view

    def has(self, name: str) -> bool:
        """Whether there is such a tensor."""
        return self.prefix + name in self.stored_names

    def take(self, name: str, *shape: int) -> np.ndarray:
        """The tensor as float32, in memory of its own.

        Raises WeightsError if it is missing, has another shape, or is no float.
        """
        stored = self._take(name, shape)
        if not self.has_values:
            return cast(np.ndarray, MetaArray(shape))
        if self.file.info[stored].dtype == "F32":
            # Read, not mapped: pages of a mapping would count as memory beside networks' copies.
            return self.file.read_bytes(stored).view(np.float32).reshape(shape)
        return np.array(self.file.read(stored), dtype=np.float32)

    def take_view(self, name: str, *shape: int) -> np.ndarray:
        """Like `take`, but a read-only view of the file: for a table of which few rows are read."""
        return np.asarray(self.file.read(self._take(name, shape)), dtype=np.float32)

    def equal(self, name: str, other: str) -> bool:
        """Whether two matrices that are there have the same values, whatever their dtypes."""
        stored, stored_other = (self.stored_names[self.prefix + n] for n in (name, other))
        if self.file.info[stored].shape != self.file.info[stored_other].shape:
            return False
        if self.file.shares(stored, stored_other):
            return True
        left, right = self.file.read(stored), self.file.read(stored_other)
        return all(np.array_equal(left[start:start + BLOCK_ROWS], right[start:start + BLOCK_ROWS])
                   for start in range(0, len(left), BLOCK_ROWS))

    def finish(self, ignored: Iterable[str] = ()) -> None:
        """Raise WeightsError unless each tensor was taken, is a buffer that is computed, or
        matches a regular expression."""
        patterns = [re.compile(pattern) for pattern in (*BUFFERS, *ignored)]
        unused = []
        for name in self.stored_names:
            if name not in self.taken and not any(p.fullmatch(name) for p in patterns):
                unused.append(name)
        if unused:
            others = f" and {len(unused) - 1} more" if len(unused) > 1 else ""
            raise self._misfit("has a tensor that is not part of this model: "
                               f"{quoted(min(unused))}{others}.")

    def _take(self, name: str, shape: tuple[int, ...]) -> str:
        """Mark the tensor as taken; returns its name in the file."""
        name = self.prefix + name
        if name not in self.stored_names:
            raise self._missing(name)
        assert name not in self.taken, f"{name} is taken twice"
        info = self.file.info[self.stored_names[name]]
        if info.shape != shape:
            raise self._misfit(f"has {quoted(name)} of shape {_shape(info.shape)}; the model's "
                               f"configuration asks for {_shape(shape)}.")
        if info.dtype not in FLOATS:
            raise self._misfit(f"has {quoted(name)} of dtype {info.dtype}, which is no float.",
                               FLOAT_HINT)
        self.taken.add(name)
        return self.stored_names[name]

    def _missing(self, name: str) -> WeightsError:
        if self.layout and not any(stored.endswith(self.layout.landmark)
                                   for stored in self.stored_names):
            first = quoted(min(self.stored_names, default="nothing"))
            return self._misfit(f"holds another network: it lacks {self.layout.root}"
                                f"{self.layout.landmark}, but has {first}.", "Take this model's.")
        return self._misfit(f"lacks the tensor {name}.", "Download or convert it again.")

    def _misfit(self, problem: str, hint: str = "") -> WeightsError:
        """The error of weights that do not fit; for a known reason, that reason."""
        names = self.file.info
        tool = formats.quantizer(names)
        if formats.is_adapter(names):
            problem, hint = f"is {formats.ADAPTER.name}.", formats.ADAPTER.remedy
        elif tool:
            problem, hint = f"holds quantized weights ({tool}), which are not read.", \
                formats.QUANTIZED
        elif self.file.metadata.get("format") == "mlx":
            hint = "It was converted for MLX: take the file that it was made of."
        return WeightsError(f"{{subject}} {problem}", hint, subject=self.path)


def _released_names(names: Iterable[str], layout: Layout | None) -> dict[str, str]:
    """Each name in a file with the released name of its tensor."""
    found = {name: _without_wrappers(name) for name in names}
    if layout is None:
        return found
    landmark = layout.landmark
    prefixes = [name.removesuffix(landmark) for name in found.values()
                if name == landmark or name.endswith(f".{landmark}")]
    if len(prefixes) != 1 or prefixes[0] == layout.root:
        return found
    prefix = prefixes[0]
    around = prefix.removesuffix(layout.root)       # what precedes the names outside `root`
    for stored, name in found.items():
        below = name.removeprefix(prefix)
        if name.startswith(prefix) and not below.startswith(layout.outside):
            found[stored] = layout.root + below
        else:
            found[stored] = name.removeprefix(around)
    return found


def _without_wrappers(name: str) -> str:
    """The name without what wrappers add, and with the former names of weight norm."""
    components = [part for part in name.split(".") if part not in WRAPPERS]
    if components[0] == "module":           # DataParallel, DistributedDataParallel, DeepSpeed
        del components[0]
    return WEIGHT_NORM.sub(lambda match: ("weight_g", "weight_v")[int(match[1])],
                           ".".join(components))


def _shape(shape: Sequence[int]) -> str:
    return f"[{', '.join(map(str, shape[:8]))}{', ...' if len(shape) > 8 else ''}]"


def find_weights(folder: str | Path) -> Path:
    """The file or index of the weights in a model's folder, in the order of transformers.

    Raises ModelError, which says what the folder holds instead, or WeightsError for a file of
    another kind, such as a git-lfs pointer.
    """
    for name in formats.WEIGHT_FILES:
        path = Path(folder) / name
        if not os.path.lexists(path):
            continue
        if not path.exists():
            raise ModelError("{subject} is a link to a file that is missing.",
                             "Download or copy it again.", subject=path)
        if not path.is_file():
            found = "a folder" if path.is_dir() else "no regular file"
            raise ModelError(f"{{subject}} is {found}.", "Put the weights there.", subject=path)
        if not name.endswith(".index.json"):
            _check_kind(path)
        return path
    kind = formats.identify_folder(folder)
    if kind:
        raise ModelError(f"{{subject}} holds {kind.name}.", kind.remedy, subject=folder)
    raise ModelError("{subject} has neither model.safetensors nor pytorch_model.bin.",
                     "Download the model again.", subject=folder)


def open_weights(path: str | Path) -> WeightsFile:
    """Open a weights file by its first bytes, or an index by its name. Raises WeightsError."""
    if str(path).endswith(".index.json"):
        return ShardedFile(path, open_one_file)
    return open_one_file(path)


def open_one_file(path: str | Path) -> SafetensorsFile | TorchFile:
    """Open a weights file by its first bytes, whatever its name. Raises WeightsError."""
    return SafetensorsFile(path) if _check_kind(path) == "safetensors" else TorchFile(path)


def _check_kind(path: str | Path) -> str:
    """ "safetensors" or "torch", by the first bytes of a file. Raises WeightsError for others."""
    start = read_start(path, formats.HEAD_BYTES)
    # First safetensors: its first bytes are the length of a header, which may be any.
    if start[4:9] == b"\0\0\0\0{":
        return "safetensors"
    if start.startswith((b"PK", b"\x80")):          # a zip archive or a pickle
        return "torch"
    kind = formats.identify(start)
    if kind:
        raise WeightsError(f"{{subject}} is {kind.name}.", kind.remedy, subject=path)
    raise WeightsError("{subject} is neither a safetensors file nor one of torch.save.",
                       "Download it again.", subject=path)


def fuse_weight_norm(
    weights: Checkpoint, *shape: int, gain_axes: Sequence[int] = (0,)
) -> np.ndarray:
    """w = g v / ||v|| of the pair `weight_g`, `weight_v`; the norm is over all but `gain_axes`.

    Axis 0 of a transposed convolution is the input channel; wav2vec2's positional convolution has
    its gains on axis 2. A checkpoint whose weight norm was removed has `weight` itself.
    """
    if weights.has("weight") and not weights.has("weight_v"):
        return weights.take("weight", *shape)
    gain_shape = tuple(size if axis in gain_axes else 1 for axis, size in enumerate(shape))
    direction = weights.take("weight_v", *shape)
    gain = weights.take("weight_g", *gain_shape)
    if 0 not in gain_axes or not weights.has_values:
        return _scale_to(direction, gain, gain_axes)
    for first in range(0, len(direction), BLOCK_CHANNELS):      # in place, for the peak of memory
        part = slice(first, first + BLOCK_CHANNELS)
        direction[part] = _scale_to(direction[part], gain[part], gain_axes)
    return direction


def _scale_to(direction: np.ndarray, gain: np.ndarray, gain_axes: Sequence[int]) -> np.ndarray:
    """With these norms over all axes but `gain_axes`; computed in float64."""
    norm_axes = tuple(axis for axis in range(direction.ndim) if axis not in gain_axes)
    squares = np.square(direction, dtype=np.float64).sum(axis=norm_axes, keepdims=True)
    return (direction * (gain / np.sqrt(squares))).astype(np.float32)


def fuse_batch_norm(
    weights: Checkpoint, channels: int, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift [C] of a batch norm at inference: y = x scale + shift."""
    scale = weights.take("weight", channels)
    scale = scale / np.sqrt(weights.take("running_var", channels) + eps)
    return scale, weights.take("bias", channels) - weights.take("running_mean", channels) * scale
