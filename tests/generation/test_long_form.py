"""Long texts: segments in one voice, with pauses, and the same samples however they are fetched."""

import numpy as np
import pytest

from sparktts_ms import Chunks, Service, SpeechRequest
from sparktts_ms.generation.generator import Generator
from sparktts_ms.generation.long_form import MAX_ATTEMPTS, MAX_PARALLEL_SEGMENTS
from sparktts_ms.text.split import split_text
from sparktts_ms.voice import Voice
from tests.helpers import fixed_length

LONG_TEXT = "This is the first of several sentences, and it is as long as they all are. " * 12
VOICE = Voice(np.random.default_rng(5).integers(0, 4096, 32))


@pytest.fixture(scope="module")
def tts(shared_tts):
    return shared_tts()


@pytest.mark.parametrize("voice", [
    {"voice": VOICE}, {"gender": "male", "pitch": "low", "speed": "high"}])
def test_segments_share_one_voice(tts, voice):
    count = len(split_text(LONG_TEXT))
    assert count > 2
    speech = tts.synthesize(LONG_TEXT, **voice, sampling=fixed_length(1, 90))
    v = tts.vocabulary
    global_ids = v.bicodec_global.values(speech.generated_ids)
    if "voice" in voice:
        assert len(speech.semantic_ids) == count * 89 and not len(global_ids)
        np.testing.assert_array_equal(speech.global_ids, VOICE.global_ids)
    else:               # the first segment generates the voice; it is in the prompts of the others
        assert len(global_ids) == 32
        assert speech.generated_ids.tolist().count(v.start_semantic_token) == count
        np.testing.assert_array_equal(speech.global_ids, global_ids)
    assert len(speech.samples) > 320 * len(speech.semantic_ids)         # pauses
    assert not speech.complete


def test_split_false_is_one_utterance(tts):
    request = {"voice": VOICE, "sampling": fixed_length(1, 90), "normalize": False}
    speech = tts.synthesize(LONG_TEXT, **request, split=False)
    assert len(speech.semantic_ids) == 89 and len(speech.samples) == 320 * 89
    generation = tts.start(SpeechRequest(" 2 + 2.\nThree. ", **request, split=False))
    assert [segment.text for segment in generation.segments.ready] == ["2 + 2.\nThree."]
    prompt, _ = tts.generator.prompt("2 + 2.\nThree.", VOICE)
    sequence, = (utterance.sequence for utterance in generation._utterances)
    assert sequence.uncached == prompt.tolist() + sequence.tokens
    generation.cancel()


def test_synthesize_stream_and_service_agree(tts):
    request = {"voice": VOICE, "sampling": fixed_length(1)}
    expected = tts.synthesize(LONG_TEXT, **request)
    exact = Chunks(tts.codec.receptive_field)
    streamed = np.concatenate(list(tts.stream(LONG_TEXT, **request, chunks=exact)))
    with Service(tts) as service:
        jobs = [service.submit(LONG_TEXT, **request, chunks=chunks) for chunks in (None, exact)]
        speeches = [job.result(timeout=300) for job in jobs]
    for speech in speeches:
        np.testing.assert_array_equal(speech.generated_ids, expected.generated_ids)
    for samples in (streamed, *(speech.samples for speech in speeches)):
        # one sample at the threshold of a pause may be counted on either side
        assert abs(len(samples) - len(expected.samples)) <= 16
        if len(samples) == len(expected.samples):
            error = np.abs(samples - expected.samples).max()
            assert error <= 5e-5 * np.abs(expected.samples).max()


def test_few_segments_run_in_parallel(tts):
    text = "A sentence of a few words that go on and on. " * 220
    generation = tts.start(SpeechRequest(text, VOICE, sampling=fixed_length(1, 3)))
    parallel = 0
    chunks = []
    while not generation.done:
        samples = generation.poll()
        parallel = max(parallel, len(tts.engine.active) + len(tts.engine.waiting))
        if samples is None:
            tts.engine.step()
        else:
            chunks.append(samples)
    assert len(generation.segments.ready) > 30
    assert parallel <= MAX_PARALLEL_SEGMENTS and generation.speech(chunks).seconds > 2
    assert not tts.engine.active and not tts.engine.waiting


def test_cancel_stops_all_segments(tts):
    generation = tts.start(SpeechRequest(LONG_TEXT, VOICE, sampling=fixed_length(1, 500)))
    for _ in range(20):
        generation.poll()
        tts.engine.step()
    generation.cancel()
    assert not tts.engine.active and not tts.engine.step()


def test_silent_segment_is_retried_then_left_out(tts, monkeypatch):
    start = Generator.start
    seeds = []

    def silent(self, segment, request, sampling, first=None, attempt=0):
        seeds.append(sampling.seed)
        utterance = start(self, segment, request, sampling, first, attempt)
        if first is not None and sampling.seed % 1_000_003 == 2:        # the second segment
            self.engine.cancel(utterance.sequence)
            utterance.sequence.tokens[:] = [self.vocabulary.end]
        return utterance

    monkeypatch.setattr(Generator, "start", silent)
    count = len(split_text(LONG_TEXT))
    speech = tts.synthesize(LONG_TEXT, VOICE, sampling=fixed_length(1))
    assert len(seeds) == count + MAX_ATTEMPTS - 1 and len(set(seeds)) == len(seeds)
    assert len(speech.semantic_ids) == 59 * (count - 1) and not speech.complete
