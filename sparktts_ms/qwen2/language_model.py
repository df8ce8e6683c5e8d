"""The language model for the engine: prefill chunks and decode steps over a KV cache with slots.

It knows ids, positions and slots, nothing of text, grammars or sampling. Embeddings are gathered
on the host from the mapped weights file. An `LMHead` holds the output rows of the ids that may be
generated, so most of the output matrix (vocabulary x hidden size) is never in memory.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.config import Qwen2Config
from sparktts_ms.errors import WeightsError
from sparktts_ms.ops.linear import LogitsProjection
from sparktts_ms.ops.padding import pad_rows, padded_length
from sparktts_ms.qwen2.calibration import NO_CALIBRATION, Calibration, Prompts
from sparktts_ms.qwen2.model import Qwen2
from sparktts_ms.qwen2.precision import stored_dtype
from sparktts_ms.runtime import Runtime
from sparktts_ms.weights.checkpoint import Checkpoint, Layout
from sparktts_ms.weights.meta_array import MetaArray

logger = logging.getLogger("sparktts_ms")

HEAD = "lm_head.weight"
LAYOUT = Layout("model.", "embed_tokens.weight", ("lm_head.",))
MAX_LENGTH = 4096                   # positions of a sequence in the KV cache
BATCH_SIZES = (1, 2, 4, 8, 16)      # of a decode step: one graph each, compiled when first needed
DEVICE_TOP_K = 64                   # logits copied from a device where not all of them are needed


@dataclass(frozen=True)
class PrefillChunk:
    """Consecutive ids [T] of a prompt, from position `start` of the sequence in `slot`."""

    slot: int
    ids: np.ndarray
    start: int

    @property
    def positions(self) -> np.ndarray:
        return np.arange(self.start, self.start + len(self.ids))


class LanguageModel:
    """Qwen2 with a KV cache of `num_slots` sequences of at most `max_length` positions.

    calibration: ids [T] of a few sequences, at most `num_slots`, as the model will see them; 4-bit
    weights are rounded so that they change these least.
    """

    def __init__(self, path: Path, config: Qwen2Config, runtime: Runtime,
                 calibration: Sequence[np.ndarray] = ()):
        self.config = config
        self.runtime = runtime
        self.num_slots = BATCH_SIZES[-1]
        length = min(MAX_LENGTH, config.max_position_embeddings)
        self.prefill_chunk = runtime.prefill_chunk
        self.max_length = length // self.prefill_chunk * self.prefill_chunk
        weights = Checkpoint(path, LAYOUT)
        self.embedding = weights.at("model.embed_tokens").take_view(
            "weight", config.vocab_size, config.hidden_size)
        self.final_norm_gain = weights.at("model.norm").take("weight", config.hidden_size)
        check_head(weights, config)
        self.weights = weights

        if runtime.llm_dtype != "int4":
            calibration = ()

        def construct(weights: Checkpoint) -> Qwen2:
            state: Calibration = NO_CALIBRATION
            if calibration and weights.has_values:
                logger.info("Rounding the language model to 4 bits (once where it is cached) ...")
                state = Prompts([self.embedding[ids] for ids in calibration])
            network = Qwen2(weights.at("model"), config, self.num_slots, self.max_length,
                            runtime.llm_dtype, runtime.cache_dtype, state)
            weights.finish((r"lm_head\.weight",))
            return network

        self.network = runtime.construct(
            construct, weights, config, self.max_length, runtime.llm_dtype,
            *(hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest() for ids in calibration))
        network = self.network
        step_inputs = network.step_inputs
        # One call for several sequences: the CPU kernels take any rows, plain attention and
        # Ascend's the rows of one sequence.
        self.packs_prefills = runtime.variable_length

        def prefill(*packed):
            x, inputs, _ = step_inputs(*packed, one_slot=not self.packs_prefills)
            return network(x, inputs)

        self._prefill = runtime.compile_padded(prefill, "prefill")
        self._compiled = False

    @cached_property
    def output_embedding(self) -> np.ndarray:
        """The output matrix [vocabulary, C], a view of the file."""
        config = self.config
        return self.embedding if is_tied(self.weights, config) else self.weights.take_view(
            HEAD, config.vocab_size, config.hidden_size)

    def head(self, ids: np.ndarray) -> LMHead:
        """The decode step for sequences of the token ids `ids` [N]."""
        return LMHead(self, ids)

    def compile(self) -> Iterator[str]:
        """Compile the prefill of a whole chunk, and use it for all that are half as long."""
        chunk = PrefillChunk(self.num_slots, np.zeros(self.prefill_chunk, np.int64), 0)
        self._prefill.compile(*self._pack([chunk], self.prefill_chunk))
        self._compiled = True
        yield "prefill"

    def prefill(self, slot: int, ids: np.ndarray, start: int) -> Tensor:
        """Extend the sequence in `slot` by `ids` [T <= prefill_chunk] from position `start`;
        returns the hidden states [T or prefill_chunk, C]."""
        return self.prefill_packed([PrefillChunk(slot, ids, start)])

    def prefill_packed(self, chunks: list[PrefillChunk]) -> Tensor:
        """Extend several sequences (one, unless `packs_prefills`) by at most `prefill_chunk` ids
        together; returns the hidden states, of T positions or padded. What a sequence gets does
        not depend on the others."""
        count = sum(len(chunk.ids) for chunk in chunks)
        length = self.runtime.padded_length(count, (self.prefill_chunk,))
        if self._compiled and 2 * count > self.prefill_chunk:
            length = self.prefill_chunk
        return self._prefill(*self._pack(chunks, length))

    def _pack(self, chunks: list[PrefillChunk], length: int) -> list[Tensor]:
        """The inputs of a prefill, padded to `length` positions."""
        ids = np.concatenate([chunk.ids for chunk in chunks])
        positions = np.full(length, -1, np.int32)
        positions[:len(ids)] = np.concatenate([chunk.positions for chunk in chunks])
        slots = np.array([chunk.slot for chunk in chunks])
        if self.packs_prefills:
            slots = pad_rows(np.repeat(slots, [len(chunk.ids) for chunk in chunks]), length)
        packed = self.network.step_inputs.pack(pad_rows(self.embedding[ids], length), positions,
                                               slots)
        return list(map(Tensor, packed))


def check_head(weights: Checkpoint, config: Qwen2Config) -> None:
    """Raise WeightsError if the configuration says that there is a head, and there is none."""
    if config.tie_word_embeddings is False and not weights.has(HEAD):
        raise WeightsError(
            f"{{subject}} lacks {HEAD}, which its config.json asks for.", "If the output is "
            "the embedding, set tie_word_embeddings to true there.", subject=weights.path)


def is_tied(weights: Checkpoint, config: Qwen2Config) -> bool:
    """Whether the output matrix is the embedding.

    A head of its own is used where the configuration does not say that they are one.
    """
    head, embedding = HEAD, "model.embed_tokens.weight"
    if not weights.has(head):
        return True
    if not weights.has(embedding) or weights.equal(head, embedding):
        return True
    if config.tie_word_embeddings:
        logger.warning("%s has a lm_head.weight that differs from the embedding, but its "
                       "config.json says tie_word_embeddings: true. The embedding is used; set it "
                       "to false to use lm_head.weight.", weights.path)
    return bool(config.tie_word_embeddings)


class StepLogits:
    """The logits of a decode step; they stay on the device until they are asked for.

    logits: [B, N]. top: the largest DEVICE_TOP_K values and their rows, float32
    [B, 2 DEVICE_TOP_K], where the logits are on a device.
    """

    def __init__(self, logits: Tensor, top: Tensor | None):
        self._logits = logits
        self._top = top
        self._host_logits: np.ndarray | None = None
        self._host_top: np.ndarray | None = None

    def candidates(self, index: int, rows: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows [M] and logits [M], float32, of sequence `index`, out of the LM head's `rows`
        (ascending): all of them, or where that saves copying all logits, at least the `top_k`
        largest."""
        if self._top is not None and 0 < top_k <= DEVICE_TOP_K < len(rows):
            if self._host_top is None:
                self._host_top = self._top.asnumpy()
            values, top_rows = np.split(self._host_top[index], 2)
            top_rows = top_rows.astype(np.int32)
            order = np.argsort(top_rows)
            values = values[order]
            top_rows = top_rows[order]
            positions = np.minimum(np.searchsorted(rows, top_rows), len(rows) - 1)
            allowed = rows[positions] == top_rows
            return top_rows[allowed], values[allowed]
        if self._host_logits is None:
            self._host_logits = self._logits.asnumpy()
        logits = self._host_logits[index, rows[0]:rows[-1] + 1]
        return rows, logits if len(logits) == len(rows) else logits[rows - rows[0]]


class DecodeStep(nn.Cell):
    """The packed inputs of a step -> logits [B, N], and where they stay on a device, the largest
    (see StepLogits)."""

    def __init__(self, network: Qwen2, projection: LogitsProjection, top_k: int):
        super().__init__(auto_prefix=False)
        self.network = network
        self.projection = projection
        self.step_inputs = network.step_inputs
        self.top_k = top_k

    def construct(self, *packed):
        x, inputs, ranges = self.step_inputs(*packed)
        logits = self.projection(self.network(x, inputs), ranges)
        if self.projection.native:
            return logits
        return logits, self.projection.top(logits, self.top_k)


class LMHead:
    """The decode step with an output layer whose row n computes the logit of `ids[n]`."""

    def __init__(self, model: LanguageModel, ids: np.ndarray):
        self.model = model
        self.ids = ids
        self.runtime = model.runtime
        self.token_to_row = np.full(model.config.vocab_size, -1, np.int32)
        self.token_to_row[ids] = np.arange(len(ids), dtype=np.int32)
        dtype = stored_dtype(self.runtime.llm_dtype, "head")

        def construct(weights: Checkpoint) -> LogitsProjection:
            matrix: np.ndarray | MetaArray = MetaArray((len(ids), model.config.hidden_size))
            if weights.has_values:
                matrix = model.output_embedding[ids] * model.final_norm_gain
            return LogitsProjection(cast(np.ndarray, matrix), dtype, model.config.rms_norm_eps)

        self.projection = self.runtime.construct(
            construct, model.weights, "head", dtype, model.config,
            hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest())
        step = DecodeStep(model.network, self.projection, min(DEVICE_TOP_K, len(ids)))
        self._step = self.runtime.compile_decode_step(
            step, f"decode step ({len(ids)} ids)", *model.network.step_inputs.shapes(
                model.config.hidden_size))

    def compile(self) -> Iterator[str]:
        """Compile the decode steps of all batch sizes, one after another."""
        for batch in BATCH_SIZES:
            self.decode_step(np.zeros(batch, np.int64), np.full(batch, -1),
                             np.full(batch, self.model.num_slots), np.zeros((batch, 2), np.int32))
            yield f"decode step {batch}"

    def decode_step(self, ids: np.ndarray, positions: np.ndarray, slots: np.ndarray,
                    ranges: np.ndarray) -> StepLogits:
        """Append ids[n] at positions[n] to the sequence in slots[n]; all arrays [B].

        ranges [B, 2]: first row, and last row + 1, of the logits needed for each sequence.
        """
        batch = padded_length(len(ids), BATCH_SIZES)
        padding = batch - len(ids)
        positions = np.concatenate([positions, np.full(padding, -1)])
        slots = np.concatenate([slots, np.full(padding, self.model.num_slots)])
        packed = self.model.network.step_inputs.pack(
            pad_rows(self.model.embedding[ids], batch), positions, slots,
            pad_rows(np.asarray(ranges, np.int32), batch))
        result = self._step(*map(Tensor, packed))
        return StepLogits(result, None) if self.projection.native else StepLogits(*result)
