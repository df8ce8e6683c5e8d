"""Long texts: segments in one voice, with pauses, and the same samples however they are fetched."""

import numpy as np
import pytest

from sparktts_ms import Chunks, Sampling, Service, SpeechRequest
from sparktts_ms.errors import NoSpeech
from sparktts_ms.generation.generator import Generator
from sparktts_ms.generation.long_form import (
    MAX_ATTEMPTS,
    MAX_PARALLEL_ALONE,
    MAX_PARALLEL_SEGMENTS,
)
from sparktts_ms.qwen2.engine import Sequence
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


@pytest.mark.parametrize("chunks", [None, Chunks()])
@pytest.mark.parametrize("others", [0, 1])
def test_few_segments_run_in_parallel(tts, chunks, others):
    """More where no other request needs the engine, and the first samples are there."""
    text = "A sentence of a few words that go on and on. " * 80
    other = [tts.start(SpeechRequest("Another.", VOICE, sampling=fixed_length(2, 1000)))
             for _ in range(others)]
    generation = tts.start(SpeechRequest(text, VOICE, sampling=fixed_length(1, 20)), chunks)
    parallel = {False: 0, True: 0}      # by whether there are samples
    samples = []
    while not generation.done:
        chunk = generation.poll()
        count = tts.engine.num_sequences - others
        parallel[bool(samples)] = max(parallel[bool(samples)], count)
        if chunk is None:
            tts.engine.step()
        else:
            samples.append(chunk)
    assert len(generation.segments.ready) > 12
    many = MAX_PARALLEL_SEGMENTS if others else MAX_PARALLEL_ALONE
    few = many if chunks is None else 1
    assert parallel == {False: few, True: many} and generation.speech(samples).seconds > 5
    assert tts.engine.num_sequences == others
    for request in other:
        assert not request.done
        request.cancel()


@pytest.mark.parametrize("text, parallel", [
    ("Yes, he said that.\n\n" * 9, 3), ("?\n\n" + "We all know what they are about.\n\n" * 9, 3),
    ("你好。\n\n" * 9, 6), ("Привет всем.\n\n" * 9, 8)])
def test_first_samples_of_a_stream_wait_for_little_else(tts, text, parallel):
    """For segments that say twelve syllables; some scripts have none. From the second chunk on
    others start one by one."""
    generation = tts.start(SpeechRequest(text, VOICE, sampling=fixed_length(1, 400)), Chunks())
    for _ in range(5):
        assert generation.poll() is None
        tts.engine.step()
    assert len(generation.segments.ready) > MAX_PARALLEL_SEGMENTS
    assert tts.engine.num_sequences == parallel
    for returned in range(1, 5):
        while generation.poll() is None:
            tts.engine.step()
        assert generation.poll() is None        # which starts a segment
        assert tts.engine.num_sequences == max(parallel, returned)
    generation.cancel()


def test_chunks_keep_their_size_in_the_next_segment(tts):
    """Also in one whose ids are not there yet, as the last one's, which starts late."""
    text = "It goes on and on, sentence after sentence, and each of them is as long as this. "
    count = MAX_PARALLEL_ALONE + 1
    request = SpeechRequest(count * text, VOICE, sampling=fixed_length(1, 90))
    generation = tts.start(request, Chunks(lookahead=25, first=12, growth=1.5, maximum=40))
    sizes = [len(samples) // 320 for samples in generation.run()]
    assert len(generation.segments.ready) == count
    assert sizes[:3] == [12, 18, 27] and sizes.count(12) == 1 and sizes.count(40) == 16


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


def cut_takes(tts, monkeypatch, frames, failing=lambda sampling: True):
    """Let takes end by themselves after so many frames; returns the seeds of all takes."""
    start = Generator.start
    seeds = []

    def short(self, segment, request, sampling, first=None, attempt=0):
        seeds.append(sampling.seed)
        utterance = start(self, segment, request, sampling, first, attempt)
        if failing(sampling):
            self.engine.cancel(utterance.sequence)
            v = self.vocabulary
            ids = [v.bicodec_semantic[n % 97] for n in range(frames)]
            utterance.sequence.tokens[:] = [v.start_semantic_token, *ids, v.end]
        return utterance

    monkeypatch.setattr(Generator, "start", short)
    return seeds


@pytest.mark.parametrize("text, frames", [("Hello.", 0), ("Hello.", 3), ("Hello.", 5),
                                          ("This is far too much for a quarter of a second.", 14)])
@pytest.mark.parametrize("chunks", [None, Chunks()])
def test_a_take_that_is_too_short_is_tried_again(tts, monkeypatch, text, frames, chunks):
    seeds = cut_takes(tts, monkeypatch, frames, lambda sampling: sampling.seed < 1_000_003)
    options = {"voice": VOICE, "sampling": fixed_length(1)}
    if chunks is None:
        speech = tts.synthesize(text, **options)
        assert len(speech.semantic_ids) == 59
    else:
        assert sum(map(len, tts.stream(text, chunks=chunks, **options))) == 59 * 320
    assert seeds == [1, 1_000_004]


def test_a_further_attempt_cannot_end_before_it_speaks(tts, monkeypatch):
    """A model that would end at once is kept from it; what ends right then is no speech either."""
    v = tts.vocabulary
    append = Sequence._append
    takes = []

    def end_when_allowed(self, token):
        if not self.tokens:
            takes.append(self)
        may_end = len(self.tokens) >= self.sampling.min_new_tokens
        append(self, v.end if may_end and len(takes) < 3 else token)

    monkeypatch.setattr(Sequence, "_append", end_when_allowed)
    sampling = Sampling(seed=1, max_new_tokens=60)
    speech = tts.synthesize("Hello.", VOICE, sampling=sampling)
    assert [take.sampling.min_new_tokens for take in takes] == [0, 6, 6]
    assert len(takes[1].tokens) == 7
    assert len(speech.semantic_ids) >= 9


@pytest.mark.parametrize("frames, problem", [(0, "before it spoke"), (3, "after 0.06 s")])
@pytest.mark.parametrize("chunks", [None, Chunks()])
@pytest.mark.parametrize("transcript", [None, "What is said."])
def test_takes_that_are_all_too_short_are_an_error(
        tts, monkeypatch, frames, problem, chunks, transcript):
    seeds = cut_takes(tts, monkeypatch, frames)
    voice = VOICE if transcript is None else Voice(VOICE.global_ids, np.arange(90), transcript)
    request = SpeechRequest("Hello.", voice, sampling=fixed_length(1))
    with pytest.raises(NoSpeech, match=problem) as error:
        list(tts.start(request, chunks).run())
    assert len(seeds) == MAX_ATTEMPTS == len(set(seeds))
    assert error.value.code == ("no_speech" if transcript is None else "no_speech_continued")
    assert (transcript is not None) == ("transcript" in str(error.value))


def test_a_greedy_take_cannot_be_tried_again(tts, monkeypatch):
    seeds = cut_takes(tts, monkeypatch, 3)
    with pytest.raises(NoSpeech):
        tts.synthesize("Hello.", VOICE, sampling=Sampling(temperature=0.0, max_new_tokens=60))
    assert len(seeds) == 1


@pytest.mark.parametrize("text, frames", [
    ("Yes.", 6), ("Hello.", 7), ("Is this the fastest that anyone can say it?", 33)])
def test_a_fast_take_is_kept(tts, monkeypatch, text, frames):
    """15 syllables a second, and half of what one word takes."""
    seeds = cut_takes(tts, monkeypatch, frames)
    speech = tts.synthesize(text, VOICE, sampling=fixed_length(1))
    assert len(speech.semantic_ids) == frames and speech.complete and len(seeds) == 1


def test_what_the_caller_cut_off_is_kept(tts):
    speech = tts.synthesize("Hello.", VOICE, sampling=fixed_length(1, 4))
    assert len(speech.semantic_ids) == 3 and not speech.complete


def test_samples_that_were_returned_are_not_said_again(tts, monkeypatch, caplog):
    """A stream whose only segment breaks off ends with an error; one of many goes on without it."""
    sentence = ("This is a sentence of more than thirty syllables, and nobody on earth can say all "
                "of it within a single second. ")
    broken = {}                 # seed -> ids after which it ends
    append = Sequence._append
    v = tts.vocabulary

    def break_off(self, token):
        count = sum(t in v.bicodec_semantic for t in self.tokens)
        append(self, v.end if count >= broken.get(self.sampling.seed, 1000) else token)

    monkeypatch.setattr(Sequence, "_append", break_off)
    broken[1] = 45
    chunks = []
    with pytest.raises(NoSpeech, match=r"after 0\.90 s"):
        for samples in tts.stream(sentence, VOICE, sampling=fixed_length(1, 90)):
            chunks.append(samples)
    assert len(chunks) == 1
    broken = {1: 25, 2: 45}     # the first is short, so that the second is returned while it grows
    text = f"Everybody knows by now what they are all about.\n\n{sentence}\n\n{sentence}"
    request = SpeechRequest(text, VOICE, sampling=fixed_length(1, 90))
    generation = tts.start(request, Chunks(growth=1.0))
    speech = generation.speech(list(generation.run()))
    assert generation.segments.complete and len(generation.segments.ready) == 3
    assert len(speech.semantic_ids) == 25 + 45 + 89
    assert not speech.complete and "breaks off" in caplog.text
