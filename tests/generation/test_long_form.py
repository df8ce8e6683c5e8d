"""Long texts: read in parts, in one voice, with pauses, and the same however they are fetched."""

import numpy as np
import pytest

from sparktts_ms import Chunks, Sampling, Service, SparkTTS, SpeechRequest
from sparktts_ms.errors import InputError, NoSpeech, VoiceError
from sparktts_ms.generation.long_form import AHEAD, ATTEMPTS
from sparktts_ms.generation.prompt import Style
from sparktts_ms.generation.utterance import KEPT_SILENCE, SILENCE
from sparktts_ms.text.split import split_text
from sparktts_ms.voice import Voice

LONG = "This is the first of several sentences, and it is as long as they all are. " * 12
VOICE = Voice(np.random.default_rng(5).integers(0, 4096, 32))


@pytest.fixture(scope="module")
def tts(shared_tts):
    return shared_tts()


def sampling(seed=1, tokens=60):
    return Sampling(seed=seed, min_new_tokens=tokens, max_new_tokens=tokens)


@pytest.mark.parametrize("who", [{"voice": VOICE}, {"gender": "male", "pitch": "low", "speed": "high"}])
def test_a_long_text_is_its_parts_in_one_voice(tts, who):
    count = len(split_text(LONG))
    assert count > 2
    speech = tts.synthesize(LONG, **who, sampling=sampling(tokens=90))
    v = tts.vocabulary
    made = v.bicodec_global.values(speech.generated_ids)
    if "voice" in who:
        assert len(speech.semantic_ids) == count * 89 and not len(made)
        np.testing.assert_array_equal(speech.global_ids, VOICE.global_ids)
    else:                                   # only the first part says a voice; the others are given it
        assert len(made) == 32 and speech.generated_ids.tolist().count(v.start_semantic_token) == count
        np.testing.assert_array_equal(speech.global_ids, made)
    assert len(speech.samples) > 320 * len(speech.semantic_ids)         # pauses
    assert not speech.complete


def test_fetched_as_it_is_made_or_at_once_or_in_company_it_is_the_same(tts):
    how = {"voice": VOICE, "sampling": sampling()}
    whole = tts.synthesize(LONG, **how)
    streamed = np.concatenate(list(tts.stream(LONG, **how, chunks=Chunks(tts.codec.receptive_field))))
    with Service(tts) as service:
        jobs = [service.submit(LONG, **how, chunks=chunks) for chunks in (None, Chunks(tts.codec.receptive_field))]
        together = [job.result(timeout=300) for job in jobs]
    for speech in together:
        np.testing.assert_array_equal(speech.generated_ids, whole.generated_ids)
    for samples in (streamed, *(speech.samples for speech in together)):
        assert abs(len(samples) - len(whole.samples)) <= 16         # a sample at the edge of silence may fall on either side
        if len(samples) == len(whole.samples):
            assert np.abs(samples - whole.samples).max() <= 5e-5 * np.abs(whole.samples).max()


def test_ten_thousand_characters_take_few_places(tts):
    text = "A sentence of a few words that go on and on. " * 220
    reading, most = tts.start(SpeechRequest(text, VOICE, sampling=sampling(tokens=3))), 0
    assert len(reading.parts) > 30
    while not reading.proceed():
        most = max(most, len(tts.engine.active) + len(tts.engine.waiting))
        tts.engine.step()
    assert most <= AHEAD and reading.speech().seconds > 2
    assert not tts.engine.active and not tts.engine.waiting


def test_a_reading_that_is_cancelled_takes_all_its_parts_along(tts):
    reading = tts.start(SpeechRequest(LONG, VOICE, sampling=sampling(tokens=500)))
    for _ in range(20):
        reading.proceed()
        tts.engine.step()
    reading.cancel()
    assert not tts.engine.active and not tts.engine.step()


def silent_after(tts, monkeypatch, frames):
    """From its `frames`-th semantic id on, every stream says the same one."""
    from sparktts_ms.qwen2.engine import Sequence
    say, first = Sequence._append, tts.vocabulary.bicodec_semantic.first

    def hushed(self, token):
        spoken = sum(t in tts.vocabulary.bicodec_semantic for t in self.tokens)
        say(self, first + 7 if token in tts.vocabulary.bicodec_semantic and spoken >= frames else token)
    monkeypatch.setattr(Sequence, "_append", hushed)


def test_runaway_silence_is_ended(tts, monkeypatch):
    silent_after(tts, monkeypatch, 40)
    speech = tts.synthesize("One.", VOICE, sampling=sampling(tokens=2000))
    assert 40 < len(speech.semantic_ids) <= 41 + KEPT_SILENCE and not speech.complete
    streamed = sum(map(len, tts.stream("One.", VOICE, sampling=sampling(tokens=2000))))
    assert len(speech.samples) <= streamed <= (42 + SILENCE) * 320
    assert not tts.engine.active


def test_a_part_in_which_nothing_is_said_is_tried_again_and_then_left_out(tts, monkeypatch):
    asked = []
    begin = SparkTTS._begin

    def mute(self, text, request, sampling, first):
        asked.append(sampling.seed)
        quiet = first is not None and sampling.seed % 1_000_003 == 2             # the second part: it ends before it speaks
        utterance = begin(self, text, request, sampling, first)
        if quiet:
            self.engine.cancel(utterance.sequence)
            utterance.sequence.tokens[:] = [self.vocabulary.end]
        return utterance
    monkeypatch.setattr(SparkTTS, "_begin", mute)
    speech = tts.synthesize(LONG, VOICE, sampling=sampling())
    assert len(asked) == len(split_text(LONG)) + ATTEMPTS - 1 and len(set(asked)) == len(asked)
    assert len(speech.semantic_ids) == 59 * (len(split_text(LONG)) - 1) and not speech.complete


def test_a_text_of_which_nothing_is_said_is_an_error(tts):
    with pytest.raises(NoSpeech):
        tts.synthesize("Mute.", gender="female", sampling=Sampling(seed=1, max_new_tokens=20))
    with pytest.raises(InputError, match="no text"):
        tts.synthesize(" \n ", VOICE)


def test_numbers_for_pitch_and_speed_are_put_where_the_model_says_them(tts):
    v = tts.vocabulary
    for pitch, speed, level in ((100.0, 3.0, 1), (300, 6, 4)):
        prompt, _ = tts.prompt_for("Any.", None, Style("male", pitch, speed))
        assert v.pitch_label[level] in prompt.tolist()
        said = tts.synthesize("Any.", gender="male", pitch=pitch, speed=speed, sampling=sampling(tokens=90)).generated_ids
        mel = int(2595 * np.log10(1 + pitch / 700))
        assert v.pitch_value.values(said).tolist() == [mel] and v.speed_value.values(said).tolist() == [int(speed)]


def test_a_cloned_voice_takes_levels_but_no_numbers(tts):
    v = tts.vocabulary
    prompt, _ = tts.prompt_for("Any.", VOICE, Style(None, "high", "very_low"))
    at = prompt.tolist().index(v.end_content)
    assert prompt[at + 1:at + 5].tolist() == [v.start_style_label, v.pitch_label[3], v.speed_label[0], v.end_style_label]
    assert tts.synthesize("Any.", VOICE, pitch="high", sampling=sampling()).seconds > 1
    with pytest.raises(InputError, match="gender"):
        tts.synthesize("Any.", VOICE, pitch=150)


def test_another_models_voice_is_refused(tts):
    for ids in ([4096] * 32, [1] * 31):
        with pytest.raises(VoiceError, match="voice"):
            tts.synthesize("Any.", Voice(np.array(ids)))
