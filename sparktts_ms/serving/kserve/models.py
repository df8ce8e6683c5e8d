"""The models of upstream's Triton runtime, by its names and tensors, and requests for them.

Source: `runtime/triton_trtllm/model_repo/*/config.pbtxt` of Spark-TTS.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparktts_ms.errors import InputError, quoted
from sparktts_ms.serving.kserve.tensors import MAX_BATCH, TensorSpec, tensor_error

VERSION = "1"
Parameter = bool | int | float | str
SHARED_MEMORY = "shared_memory"     # begins the names of parameters that ask for it

REFERENCE = (TensorSpec("reference_wav", "FP32", (-1,)),
             TensorSpec("reference_wav_len", "INT32", (1,)))
TOKENS = (TensorSpec("global_tokens", "INT32", (-1,)),
          TensorSpec("semantic_tokens", "INT32", (-1,)))
WAVEFORM = TensorSpec("waveform", "FP32", (-1,))


@dataclass(frozen=True)
class ModelSpec:
    """A model's tensors. decoupled: it may answer a request of a stream with many responses."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    decoupled: bool = False

    def input(self, name: Any) -> TensorSpec:
        """Raises InputError for a name that is none of the inputs."""
        return self._find(self.inputs, name, "input")

    def output(self, name: Any) -> TensorSpec:
        """Raises InputError for a name that is none of the outputs."""
        return self._find(self.outputs, name, "output")

    def metadata(self) -> dict[str, Any]:
        """As the protocol's JSON."""
        tensors = {}
        for kind, specs in (("inputs", self.inputs), ("outputs", self.outputs)):
            tensors[kind] = [{"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}
                             for spec in specs]
        return {"name": self.name, "versions": [VERSION], "platform": "mindspore", **tensors}

    def config(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """As the JSON of Triton's ModelConfig."""
        tensors = {}
        for kind, specs in (("input", self.inputs), ("output", self.outputs)):
            tensors[kind] = [{"name": spec.name, "data_type": _config_type(spec),
                              "dims": list(spec.dims)} for spec in specs]
        return {
            "name": self.name,
            "backend": "mindspore",
            "version_policy": {"latest": {"num_versions": 1}},
            "max_batch_size": MAX_BATCH,
            **tensors,
            "dynamic_batching": {},
            "model_transaction_policy": {"decoupled": self.decoupled},
            "parameters": {name: {"string_value": value} for name, value in parameters.items()},
        }

    def _find(self, specs: Sequence[TensorSpec], name: Any, kind: str) -> TensorSpec:
        for spec in specs:
            if spec.name == name:
                return spec
        names = ", ".join(spec.name for spec in specs)
        raise InputError(f"The model {self.name} has no {kind} {quoted(name)}.",
                         f"Its {kind}s are {names}.", code="unknown_tensor")


MODELS = {model.name: model for model in (
    ModelSpec(
        "spark_tts",
        inputs=(*REFERENCE, TensorSpec("reference_text", "BYTES", (1,)),
                TensorSpec("target_text", "BYTES", (1,))),
        outputs=(WAVEFORM,),
        decoupled=True),
    ModelSpec("audio_tokenizer", inputs=REFERENCE, outputs=TOKENS),
    ModelSpec("vocoder", inputs=TOKENS, outputs=(WAVEFORM,)),
)}


@dataclass(frozen=True)
class InferRequest:
    """A request whose tensors have the names, data types and shapes of its model's.

    inputs: arrays [B, ...] by name. outputs: names, those that were asked for or all. binary: those
    of the outputs that a JSON response has as binary data.
    """

    model: ModelSpec
    id: str
    inputs: Mapping[str, np.ndarray]
    parameters: Mapping[str, Parameter]
    outputs: tuple[str, ...]
    binary: frozenset[str] = frozenset()

    @property
    def batch(self) -> int:
        return len(next(iter(self.inputs.values())))


def find_model(name: str, version: str = "") -> ModelSpec:
    """Raises InputError for another model ("unknown_model") or version ("unknown_version")."""
    model = MODELS.get(name)
    if model is None:
        raise InputError(f"There is no model {quoted(name)}.",
                         f"The models are {', '.join(MODELS)}.", code="unknown_model")
    if version not in ("", VERSION):
        raise InputError(f"The model {name} has no version {quoted(version)}.",
                         f"Its version is {VERSION}.", code="unknown_version")
    return model


def make_request(model: ModelSpec, request_id: str, inputs: Sequence[tuple[str, np.ndarray]],
                 outputs: Sequence[str], parameters: Mapping[str, Parameter],
                 binary: Collection[str] = ()) -> InferRequest:
    """A request of named arrays. Raises InputError for an input that is given twice, rows that
    do not agree, or outputs that the model does not have."""
    arrays = dict(inputs)
    if len(arrays) < len(inputs):
        raise tensor_error("An input was given twice.")
    if not arrays:
        raise _missing(model, [spec.name for spec in model.inputs])
    if len({len(array) for array in arrays.values()}) > 1:
        sizes = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        raise tensor_error(f"The inputs hold batches of different sizes: {sizes}.")
    for name in outputs:
        model.output(name)
    names = tuple(dict.fromkeys(outputs)) or tuple(spec.name for spec in model.outputs)
    return InferRequest(model, request_id, arrays, dict(parameters), names, frozenset(binary))


def require_inputs(request: InferRequest, names: Sequence[str] | None = None) -> None:
    """Raises InputError unless all inputs of the model, or those named, were given."""
    wanted = [spec.name for spec in request.model.inputs] if names is None else names
    missing = [name for name in wanted if name not in request.inputs]
    if missing:
        raise _missing(request.model, missing)


def check_tensor_parameters(name: str, parameters: Mapping[str, Any]) -> None:
    """Raises InputError for what a tensor's parameters ask for and this server does not do."""
    shown = name if name.isidentifier() else quoted(name)
    for key in parameters:
        if key.startswith(SHARED_MEMORY):
            raise tensor_error(f"{shown} is said to lie in shared memory, which this server does "
                               "not use.", "Send its data in the message.")
        if key == "classification":
            raise tensor_error(f"{shown} cannot be classified.", "Leave the parameter out.")


def _missing(model: ModelSpec, names: Sequence[str]) -> InputError:
    hint = ""
    if "reference_text" in names:
        hint = "Without a transcript, send an empty reference_text."
    return tensor_error(f"The model {model.name} needs the inputs {', '.join(names)}.", hint)


def _config_type(spec: TensorSpec) -> str:
    return "TYPE_STRING" if spec.datatype == "BYTES" else f"TYPE_{spec.datatype}"
