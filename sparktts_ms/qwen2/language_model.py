"""The language model for the engine: prefill chunks and decode steps over a KV cache with slots.

It knows ids, positions and slots, nothing of text, grammars or sampling. Embeddings are gathered
on the host from the mapped weights file. An `LMHead` holds the output rows of the ids that may be
generated, so most of the embedding matrix (vocabulary x hidden size) is never in memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mindspore import Tensor, ops

from sparktts_ms.config import Qwen2Config
from sparktts_ms.ops.linear import LogitsProjection
from sparktts_ms.ops.padding import pad_rows, padded_length
from sparktts_ms.qwen2.model import Qwen2
from sparktts_ms.runtime import Runtime
from sparktts_ms.weights.checkpoint import Checkpoint

PREFILL_CHUNK = 64                  # prompt positions a prefill chunk
MAX_LENGTH = 4096                   # positions of a sequence in the KV cache
BATCH_SIZES = (1, 2, 4, 8, 16)      # of a decode step: one graph each, compiled when first needed
DEVICE_TOP_K = 64                   # logits copied from a device where not all of them are needed


class LanguageModel:
    """Qwen2 with a KV cache of `num_slots` sequences of at most `max_length` positions."""

    def __init__(self, path: Path, config: Qwen2Config, runtime: Runtime):
        self.config = config
        self.runtime = runtime
        self.num_slots = BATCH_SIZES[-1]
        length = min(MAX_LENGTH, config.max_position_embeddings)
        self.max_length = length // PREFILL_CHUNK * PREFILL_CHUNK
        weights = Checkpoint(path)
        self.embedding = weights.at("model.embed_tokens").take_view(
            "weight", config.vocab_size, config.hidden_size)
        self.final_norm_gain = weights.at("model.norm").take("weight", config.hidden_size)
        self.network = Qwen2(weights.at("model"), config, self.num_slots, self.max_length,
                             runtime.llm_dtype, runtime.cache_dtype)
        weights.finish((r"lm_head\.weight",))       # tied: the same matrix as the embedding
        self._prefill = runtime.compile_padded(self.network, "prefill")

    def head(self, ids: np.ndarray) -> LMHead:
        """The decode step for sequences of the token ids `ids` [N]."""
        return LMHead(self, ids)

    def prefill(self, slot: int, ids: np.ndarray, start: int) -> Tensor:
        """Extend the sequence in `slot` by `ids` [T <= PREFILL_CHUNK] from position `start`;
        returns the hidden states [T or PREFILL_CHUNK, C]."""
        length = self.runtime.padded_length(len(ids), (PREFILL_CHUNK,))
        positions = np.full(length, -1, np.int32)
        positions[:len(ids)] = np.arange(start, start + len(ids))
        return self._prefill(Tensor(pad_rows(self.embedding[ids], length)), Tensor(positions),
                             Tensor(np.array([slot], np.int32)))


class StepLogits:
    """The logits of a decode step; they stay on the device until they are asked for.

    logits: [B, N]. top: values and rows [B, DEVICE_TOP_K] of the largest, where a device has them.
    """

    def __init__(self, logits: Tensor, top: tuple[Tensor, Tensor] | None):
        self._logits = logits
        self._top = top
        self._host: np.ndarray | None = None

    def candidates(self, index: int, rows: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows [M] and logits [M], float32, of sequence `index`, out of the LM head's `rows`
        (ascending): all of them, or where that saves copying all logits, at least the `top_k`
        largest."""
        if self._top is not None and 0 < top_k <= DEVICE_TOP_K < len(rows):
            values, top_rows = (tensor.asnumpy()[index] for tensor in self._top)
            order = np.argsort(top_rows)
            values = values[order]
            top_rows = top_rows[order]
            positions = np.minimum(np.searchsorted(rows, top_rows), len(rows) - 1)
            allowed = rows[positions] == top_rows
            return top_rows[allowed], values[allowed]
        if self._host is None:
            self._host = self._logits.asnumpy()
        logits = self._host[index, rows[0]:rows[-1] + 1]
        return rows, logits if len(logits) == len(rows) else logits[rows - rows[0]]


class LMHead:
    """The decode step with an output layer whose row n computes the logit of `ids[n]`."""

    def __init__(self, model: LanguageModel, ids: np.ndarray):
        self.model = model
        self.ids = ids
        self.runtime = model.runtime
        self.token_to_row = np.full(model.config.vocab_size, -1, np.int32)
        self.token_to_row[ids] = np.arange(len(ids), dtype=np.int32)
        self.projection = LogitsProjection(model.embedding[ids] * model.final_norm_gain,
                                           self.runtime.llm_dtype, model.config.rms_norm_eps)
        network = model.network
        projection = self.projection
        top_k = min(DEVICE_TOP_K, len(ids))

        def step(embeddings, positions, slots, ranges):
            # embeddings [B, C], positions and slots [B], ranges [B, 2] of rows -> logits [B, N]
            y = projection(network(embeddings, positions, slots), ranges)
            if projection.native:
                return y
            return y, *ops.topk(y, top_k)

        self._step = self.runtime.compile(step, f"decode step ({len(ids)} ids)")

    def decode_step(self, ids: np.ndarray, positions: np.ndarray, slots: np.ndarray,
                    ranges: np.ndarray) -> StepLogits:
        """Append ids[n] at positions[n] to the sequence in slots[n]; all arrays [B].

        ranges [B, 2]: first row, and last row + 1, of the logits needed for each sequence.
        """
        batch = padded_length(len(ids), BATCH_SIZES)
        padding = batch - len(ids)
        positions = np.concatenate([positions, np.full(padding, -1)])
        slots = np.concatenate([slots, np.full(padding, self.model.num_slots)])
        result = self._step(Tensor(pad_rows(self.model.embedding[ids], batch)),
                            Tensor(positions.astype(np.int32)), Tensor(slots.astype(np.int32)),
                            Tensor(pad_rows(np.asarray(ranges, np.int32), batch)))
        if self.projection.native:
            return StepLogits(result, None)
        return StepLogits(result[0], tuple(result[1:]))
