"""The language model as the rest of the house sees it: rows of ids go in, logits come out.

It knows ids, positions and slots, nothing of text, phases or sampling. Embeddings are gathered on the host from the mapped
file; the decode step holds only the output rows of ids that may be spoken (a `LMHead`), so nine tenths of the embedding are
never in memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mindspore import Tensor, ops

from sparktts_ms.config import Qwen2Config
from sparktts_ms.ops.linear import Logits
from sparktts_ms.ops.padding import pad_rows, padded_length
from sparktts_ms.qwen2.model import Qwen2
from sparktts_ms.runtime import Runtime
from sparktts_ms.weights.checkpoint import Checkpoint

PREFILL_CHUNK = 64                          # prompt positions read at once
CAPACITY = 4096                     # positions of a sequence
BATCH_SIZES = (1, 2, 4, 8, 16)          # sequences of a decode step: one graph each, made when first needed
CANDIDATES = 64                     # best ids that a device hands to the host where it does not hand over all logits


class LanguageModel:
    """Qwen2 with the caches of `slots` sequences."""

    def __init__(self, path: Path, config: Qwen2Config, runtime: Runtime):
        self.config, self.runtime, self.slots = config, runtime, BATCH_SIZES[-1]
        weights = Checkpoint(path)
        self.embedding = weights.at("model.embed_tokens").take_view("weight", config.vocab_size, config.hidden_size)
        self.final_gain = weights.at("model.norm").take("weight", config.hidden_size)
        self.limit = min(CAPACITY, config.max_position_embeddings) // PREFILL_CHUNK * PREFILL_CHUNK
        network = self.network = Qwen2(weights.at("model"), config, self.slots, self.limit, runtime.llm_dtype,
                                       runtime.cache_dtype)
        weights.finish((r"lm_head\.weight",))       # tied: the same matrix as the embedding

        def prefill(embeddings, positions, slot):
            return network(embeddings, positions, slot)

        self._prefill = runtime.compile_padded(prefill, "prefill")

    def head(self, ids: np.ndarray) -> LMHead:
        """The decode step for sequences made of `ids` [N]; a run of ids that may come together is computed at once."""
        return LMHead(self, ids)

    def prefill(self, slot: int, ids: np.ndarray, start: int) -> Tensor:
        """Let the sequence in `slot` go on with `ids` [at most PREFILL_CHUNK] from position `start`; the residual stream [.., C]."""
        rows = self.runtime.padded_length(len(ids), (PREFILL_CHUNK,))
        positions = np.full(rows, -1, np.int32)
        positions[:len(ids)] = np.arange(start, start + len(ids))
        return self._prefill(Tensor(pad_rows(self.embedding[ids], rows)), Tensor(positions),
                          Tensor(np.array([slot], np.int32)))


class StepLogits:
    """What a decode step says about what comes next, for each of its sequences."""

    def __init__(self, logits: Tensor, best: tuple[Tensor, Tensor] | None):
        self._logits, self._best = logits, best
        self._host: np.ndarray | None = None

    def of(self, sequence: int, rows: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        """Those of the head's `rows` [N] (ascending) that come into question, and their logits, float32: all of them, or the
        `top_k` best and some more where that saves copying all logits from the device."""
        if self._best is not None and 0 < top_k <= CANDIDATES < len(rows):
            values, found = (tensor.asnumpy()[sequence] for tensor in self._best)
            order = np.argsort(found)
            values, found = values[order], found[order]
            places = np.searchsorted(rows, found)
            mine = rows[np.minimum(places, len(rows) - 1)] == found
            return found[mine], values[mine]
        if self._host is None:
            self._host = self._logits.asnumpy()
        first, last = rows[0], rows[-1] + 1
        logits = self._host[sequence, first:last]
        return rows, logits if last - first == len(rows) else logits[rows - first]


class LMHead:
    """One id of each of some sequences in, the logits of what may follow out: the step that is repeated."""

    def __init__(self, model: LanguageModel, ids: np.ndarray):
        self.model, self.ids, self.runtime = model, ids, model.runtime
        self.row_of = np.full(model.config.vocab_size, -1, np.int32)
        self.row_of[ids] = np.arange(len(ids), dtype=np.int32)
        self.logits = Logits(model.embedding[ids] * model.final_gain, self.runtime.llm_dtype, model.config.rms_norm_eps)
        network, logits = model.network, self.logits
        topk = min(CANDIDATES, len(ids))

        def step(embeddings, positions, slots, ranges):
            # embeddings [B, C], positions and slots [B], ranges [B, 2] of rows that may come -> logits [B, N], best
            y = logits(network(embeddings, positions, slots), ranges)
            if logits.whole:
                return y
            return y, *ops.topk(y, topk)

        self._step = self.runtime.compile(step, f"decode step ({len(ids)} ids)")

    def decode_step(self, ids: np.ndarray, positions: np.ndarray, slots: np.ndarray, ranges: np.ndarray) -> StepLogits:
        """Append ids[n] at positions[n] to the sequence in slots[n]; of each, score the head's rows ranges[n]."""
        count, bucket = len(ids), padded_length(len(ids), BATCH_SIZES)
        spare = bucket - count
        result = self._step(Tensor(pad_rows(self.model.embedding[ids], bucket)),
                            Tensor(np.concatenate([positions, np.full(spare, -1)]).astype(np.int32)),
                            Tensor(np.concatenate([slots, np.full(spare, self.model.slots)]).astype(np.int32)),
                            Tensor(pad_rows(np.asarray(ranges, np.int32), bucket)))
        return StepLogits(result, None) if self.logits.whole else StepLogits(result[0], tuple(result[1:]))
