"""Utterance: endless silence, and the sizes of chunks."""

import numpy as np
import pytest

from sparktts_ms import Chunks
from sparktts_ms.generation.utterance import MAX_SILENT_FRAMES, TRIMMED_SILENT_FRAMES
from sparktts_ms.qwen2.engine import Sequence
from sparktts_ms.voice import Voice
from tests.helpers import fixed_length

VOICE = Voice(np.random.default_rng(5).integers(0, 4096, 32))


@pytest.fixture(scope="module")
def tts(shared_tts):
    return shared_tts()


def test_endless_silence_is_stopped(tts, monkeypatch):
    """From the 40th semantic id on, all are the same."""
    append = Sequence._append
    semantic = tts.vocabulary.bicodec_semantic

    def repeat(self, token):
        count = sum(t in semantic for t in self.tokens)
        append(self, semantic.first + 7 if token in semantic and count >= 40 else token)

    monkeypatch.setattr(Sequence, "_append", repeat)
    speech = tts.synthesize("One.", VOICE, sampling=fixed_length(1, 2000))
    assert 40 < len(speech.semantic_ids) <= 41 + TRIMMED_SILENT_FRAMES and not speech.complete
    streamed = sum(map(len, tts.stream("One.", VOICE, sampling=fixed_length(1, 2000))))
    assert len(speech.samples) <= streamed <= (42 + MAX_SILENT_FRAMES) * 320
    assert not tts.engine.active


def test_chunk_sizes_grow_to_the_maximum(tts):
    chunks = Chunks(lookahead=25, first=12, growth=1.5, maximum=40)
    streamed = list(tts.stream("Any.", VOICE, sampling=fixed_length(1, 301), chunks=chunks))
    frames = [len(samples) // 320 for samples in streamed]
    assert frames[:6] == [12, 18, 27, 40, 40, 40] and sum(frames) == 300
