"""A loaded model of this or of an earlier revision, in the steps that are measured.

Earlier revisions have other names for some methods and arguments; which, is seen from what exists.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FORMER_QUANTIZE = {"none": "float", "int8": "int8"}     # values of the argument `weights`


class Model:
    """tts: a SparkTTS. prefill_chunk: ids of a prompt at once. max_length: positions of a sequence.
    num_slots: sequences."""

    def __init__(self, tts: Any):
        self.tts = tts
        llm = tts.llm
        self._prefill = either(llm, "prefill", "read")
        self.max_length = either(llm, "max_length", "limit")
        self.num_slots = either(llm, "num_slots", "slots")
        self.prefill_chunk = getattr(llm, "prefill_chunk", 64)
        self._head = (tts.generator.head if hasattr(tts, "generator") else tts._head)(True)

    @classmethod
    def load(cls, model_dir: Path, quantize: str) -> Model:
        """quantize: "none", "int8" or "int4". Raises ValueError if the revision lacks it."""
        from sparktts_ms import SparkTTS

        arguments = inspect.signature(SparkTTS.from_pretrained).parameters
        options: dict[str, Any] = {"quantize": quantize}
        if "quantize" not in arguments:
            if quantize not in FORMER_QUANTIZE:
                raise ValueError(f"This revision has no weights in {quantize}.")
            options = {"weights": FORMER_QUANTIZE[quantize]}
        tts = SparkTTS.from_pretrained(model_dir, device_target="CPU", **options)
        return cls(tts.load())

    def encode(self, samples: np.ndarray) -> None:
        """A recording [N] at 16 kHz to its semantic and global ids."""
        codec = self.tts.codec
        encoder = getattr(self.tts, "voice_encoder", self.tts)
        either(codec, "encode_semantic", "semantic_ids")(encoder.features(samples))
        either(codec, "encode_speaker", "global_ids")(encoder.mel(samples.astype(np.float32)))

    def prefill(self, slot: int, ids: np.ndarray, start: int) -> np.ndarray:
        """Extend the sequence in `slot` by ids [T <= prefill_chunk] from position `start`; returns
        the hidden states [T or more, C]."""
        return self._prefill(slot, ids, start).asnumpy()

    def decode_step(self, ids: np.ndarray, position: int, slots: np.ndarray,
                    rows: np.ndarray) -> list[np.ndarray]:
        """One step of the sequences in `slots` [B]; for each the logits of the head's `rows`."""
        positions = np.full(len(slots), position)
        ranges = np.array([(0, len(rows))] * len(slots))
        step = either(self._head, "decode_step", "step")
        logits = either(step(ids, positions, slots, ranges), "candidates", "of")
        return [logits(index, rows, 0)[1] for index in range(len(slots))]

    def num_segments(self, text: str) -> int:
        """Into how many segments a text is split."""
        if hasattr(self.tts, "prepare"):
            from sparktts_ms.generation.request import SpeechRequest

            segments = self.tts.prepare(SpeechRequest(text, gender="female"))
            segments.prepare(len(text))
            return len(segments.ready)
        from sparktts_ms.text import parts  # type: ignore[attr-defined]

        return len(parts(text))

    def bytes_read(self) -> dict[str, int]:
        """What a decode step reads, as it lies in memory: `weights` once, `cache` for each position
        of each sequence."""
        projection = either(self._head, "projection", "logits")
        parameters = [*self.tts.llm.network.get_parameters(), *projection.get_parameters()]
        by_kind = {kind: [p for p in parameters if p.name.rpartition(".")[2] == kind]
                   for kind in ("weight", "keys", "values")}
        caches = by_kind["keys"] + by_kind["values"]        # [positions of all sequences, ...]
        return {"weights": sum(weight.nbytes for weight in by_kind["weight"]),
                "cache": sum(cache.nbytes // cache.shape[0] for cache in caches)}


def either(owner: Any, name: str, former: str) -> Any:
    """The attribute `name`, or what an earlier revision called it."""
    value: Callable | Any = getattr(owner, name, None)
    return getattr(owner, former) if value is None else value
