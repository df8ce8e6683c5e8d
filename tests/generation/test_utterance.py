"""Utterance: endless silence, and the sizes of chunks."""

import numpy as np
import pytest

from sparktts_ms import Chunks
from sparktts_ms.generation.utterance import (
    MAX_SILENT_FRAMES,
    TRIMMED_SILENT_FRAMES,
    Pace,
    cross_fade,
)
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


def test_pace_takes_the_largest_size_that_is_known():
    pace = Pace((20, 36, 64), first=8, least=36)
    assert [pace.size(n, first=False) for n in (20, 35, 36, 63, 64, 300)] == [0, 0, 36, 36, 64, 64]
    assert [pace.size(n, first=True) for n in (7, 8, 300)] == [0, 8, 8]


def test_cross_fade_begins_with_one_and_ends_with_the_other():
    before = np.full(320, 1.0, np.float32)
    after = np.full(640, -1.0, np.float32)
    faded = cross_fade(before, after)
    assert faded.dtype == np.float32 and len(faded) == 640
    assert faded[0] == 1.0 and (np.diff(faded[:320]) <= 0).all() and (faded[319:] == -1.0).all()
    np.testing.assert_array_equal(cross_fade(before[:0], after), after)
    np.testing.assert_array_equal(cross_fade(before, after[:0]), after[:0])
