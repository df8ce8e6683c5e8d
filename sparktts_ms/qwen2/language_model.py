"""The language model as the rest of the house sees it: a prompt goes in, logits come out, a token goes in, ...

It knows ids and positions, nothing of text, phases or sampling. The decode step holds only the embedding rows of ids that
may be spoken (`speakable`), which serve as its input table and its output matrix; the prompt's embeddings are gathered on
the host from the mapped file, so the other nine tenths of the embedding are never in memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mindspore import Tensor, ops

from sparktts_ms.buckets import pad_rows
from sparktts_ms.config import Qwen2Config
from sparktts_ms.errors import InputError
from sparktts_ms.ops.parameter import weight
from sparktts_ms.qwen2.cache import Cache
from sparktts_ms.qwen2.model import Qwen2, Reader
from sparktts_ms.runtime import Runtime
from sparktts_ms.weights.source import WeightSource

CHUNK = 64                      # prompt positions read at once
CAPACITIES = (1024, 4096)       # positions a cache holds; a sequence moves to the next when it outgrows one


class LanguageModel:
    """Qwen2 with its caches. One sequence at a time."""

    def __init__(self, path: Path, config: Qwen2Config, runtime: Runtime):
        self.config, self.runtime = config, runtime
        weights = WeightSource(path)
        self.embedding = weights.at("model.embed_tokens").take_mapped("weight", config.vocab_size, config.hidden_size)
        self.network = Qwen2(weights.at("model"), config, runtime.dtype)
        weights.finish((r"lm_head\.weight",))       # tied: the same matrix as the embedding
        longest = config.max_position_embeddings // CHUNK * CHUNK
        self.capacities = tuple(c for c in CAPACITIES if c <= longest) or (longest,)
        self.readers: dict[int, Reader] = {}
        self.compiled_read: dict[int, object] = {}
        self.length = 0
        self.capacity = 0

    @property
    def limit(self) -> int:
        """Positions that a prompt and what follows it may fill."""
        return self.capacities[-1]

    def open(self, prompt: np.ndarray) -> np.ndarray:
        """Read all of `prompt` [N] ids but its last, which is the first to `feed`; returns hidden states [N - 1, C]."""
        if len(prompt) >= self.limit:
            raise InputError(f"Text and prompt make {len(prompt)} tokens; at most {self.limit - 1} fit. "
                             "Split the text (--text_file takes a sentence a line) or use a shorter prompt.")
        self.length = 0
        self.capacity = next(c for c in self.capacities if len(prompt) < c)
        read, hidden = self._read(self.capacity), [np.zeros((0, self.config.hidden_size), np.float32)]
        for start in range(0, len(prompt) - 1, CHUNK):
            ids = prompt[start:min(start + CHUNK, len(prompt) - 1)]
            states = read(Tensor(pad_rows(self.embedding[ids], CHUNK)),
                          Tensor(np.arange(start, start + CHUNK, dtype=np.int32)))
            hidden.append(states.asnumpy()[:len(ids)])
            self.length += len(ids)
        return np.concatenate(hidden)

    def speaker(self, speakable: np.ndarray) -> Speaker:
        """The decode step for sequences made of the ids `speakable` [R]."""
        return Speaker(self, speakable)

    def reader(self, capacity: int) -> Reader:
        """The network on the cache of this capacity, made when it is first needed."""
        if capacity not in self.readers:
            self.readers[capacity] = Reader(self.network, Cache(capacity, self.config, self.runtime.dtype))
        return self.readers[capacity]

    def grow(self) -> None:
        """Move the sequence to the next larger cache."""
        larger = next(c for c in self.capacities if c > self.capacity)
        self.reader(larger).cache.load(self.reader(self.capacity).cache, self.length)
        self.capacity = larger

    def _read(self, capacity: int):
        if capacity not in self.compiled_read:
            reader = self.reader(capacity)

            def read(embeddings, positions):
                return reader(embeddings, positions)

            self.compiled_read[capacity] = self.runtime.compile(read, f"prompt reader ({capacity} positions)")
        return self.compiled_read[capacity]


class Speaker:
    """One token in, the logits of every speakable id out."""

    def __init__(self, model: LanguageModel, speakable: np.ndarray):
        self.model, self.ids = model, speakable
        self.row_of = np.full(model.config.vocab_size, -1, np.int32)
        self.row_of[speakable] = np.arange(len(speakable), dtype=np.int32)
        self.table = weight(model.embedding[speakable], model.runtime.dtype)
        self.compiled_step: dict[int, object] = {}

    def feed(self, token_id: int) -> np.ndarray:
        """Append one id to the sequence; returns the logits [R] of what may follow, float32."""
        model = self.model
        if model.length == model.capacity:
            model.grow()
        logits = self._step(model.capacity)(Tensor(self.row_of[token_id:token_id + 1]),
                                            Tensor(np.array([model.length], np.int32)))
        model.length += 1
        return logits.asnumpy()[0]

    def _step(self, capacity: int):
        if capacity not in self.compiled_step:
            reader, table, product = self.model.reader(capacity), self.table, ops.MatMul(transpose_b=True)

            def step(row, position):
                # row [1], position [1] -> logits [1, R]
                hidden = reader(ops.gather(table, row, 0).astype("float32"), position)
                return product(hidden.astype(table.dtype), table).astype("float32")

            self.compiled_step[capacity] = self.model.runtime.compile(
                step, f"decode step ({capacity} positions, {len(self.ids)} ids)")
        return self.compiled_step[capacity]
