"""The demonstration model's speech: intelligible to a recognizer, like the prompt's speaker, with
the requested attributes.

The limits lie between what the model reaches and what unrelated speech would give; `make eval`
measures more sentences. The recordings are flite's, of sentences that no part of the model was
trained on and that the recognizer transcribes correctly.
"""

import itertools
import json
import statistics

import numpy as np
import pytest
import soundfile

from evaluation.asr import transcribe, transcribe_all, word_error_rate
from evaluation.metrics import SpeakerClassifier, gender_by_pitch, pitch_error
from sparktts_ms import Sampling, Service, SparkTTS
from sparktts_ms.audio.loudness import speech_seconds
from sparktts_ms.audio.pitch import median_pitch
from sparktts_ms.generation.attributes import GENDERS, LEVELS
from tests.audio.signals import sounds
from tests.helpers import PROMPT, ROOT

RECORDINGS = ROOT / "tests" / "evaluation" / "recordings"
MODEL = ROOT / "pretrained_models" / "Spark-TTS-demo"
INDEX = json.loads((RECORDINGS / "index.json").read_text())
SPOKEN = [entry["spoken"] for entry in INDEX.values()]
SPEAKERS = [entry["voice"] for entry in INDEX.values()]
TEXTS = ("The water is still famous.", "Is there a cake in the garden?")


def read(name):
    return soundfile.read(RECORDINGS / name)[0]


def character_error_rate(references, hypotheses):
    """Error rate of letters, each taken for a word; spaces do not count."""
    def letters(text):
        return " ".join(text.replace(" ", ""))

    return word_error_rate(list(map(letters, references)), list(map(letters, hypotheses)))


@pytest.fixture(scope="module")
def demo():
    return SparkTTS.from_pretrained(MODEL, device_target="CPU")


@pytest.fixture(scope="module")
def speakers():
    recordings = {speaker: [] for speaker in sorted(set(SPEAKERS))}
    for name, entry in INDEX.items():
        recordings[entry["voice"]].append(read(name))
    return SpeakerClassifier(recordings)


def test_model_size():
    assert sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file()) <= 25_000_000


def test_recognizer_on_references_and_noise():
    assert word_error_rate(SPOKEN, transcribe_all([read(name) for name in INDEX])) < 0.05
    noise = np.random.default_rng(0).standard_normal(32000) * 0.1
    assert word_error_rate(SPOKEN, [transcribe(noise)] * len(SPOKEN)) > 0.8


def test_codec_preserves_words_speaker_and_pitch(demo, speakers):
    decoded = []
    for name, entry in INDEX.items():
        voice = demo.encode_voice(RECORDINGS / name, entry["text"])
        decoded.append(
            demo.decode(global_ids=voice.global_ids, semantic_ids=voice.semantic_ids))
    assert word_error_rate(SPOKEN, list(map(transcribe, decoded))) <= 0.2
    assert [speakers.nearest(samples) for samples in decoded] == SPEAKERS
    pairs = zip(decoded, INDEX, strict=True)
    errors = [pitch_error(samples, read(name)) for samples, name in pairs]
    assert statistics.median(errors) < 0.04


def test_speaker_ids_of_recordings_as_people_have_them(demo, tmp_path):
    """Sounds before the speech, another channel, level and offset leave the voice as it is: 29 or
    more of 32 ids were measured of such files, and 1 to 14 at c47a299."""
    speech = soundfile.read(PROMPT)[0]
    clean = demo.encode_voice(PROMPT).global_ids
    recordings = {"right": np.stack([0.1 * np.random.default_rng(0).standard_normal(len(speech)),
                                     speech], 1),
                  "quiet": 0.01 * speech, "offset": speech + 0.1, "both": 0.01 * speech + 0.02}
    for name, sound in sounds(7).items():
        recordings[name] = np.concatenate([sound, speech])
    for name, samples in recordings.items():
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples, 16000, subtype="FLOAT")
        ids = demo.encode_voice(path).global_ids
        assert (ids == clean).sum() >= 24, name


@pytest.mark.parametrize("quantize, with_transcript", [
    ("none", False),
    ("int8", True),
    ("int4", True),
    pytest.param("none", True, marks=pytest.mark.slow),
    pytest.param("int8", False, marks=pytest.mark.slow),
    pytest.param("int4", False, marks=pytest.mark.slow),
])
def test_cloning(speakers, quantize, with_transcript):
    tts = SparkTTS.from_pretrained(MODEL, device_target="CPU", quantize=quantize)
    jobs = []
    with Service(tts) as service:
        for n, (name, entry) in enumerate(INDEX.items()):
            number = (int(name.split("_")[1][0]) + 1) % 3       # another recording of the speaker
            prompt = f"{entry['voice']}_{number}.flac"
            transcript = INDEX[prompt]["text"] if with_transcript else None
            voice = service.encode_voice(RECORDINGS / prompt, transcript)
            jobs.append(service.submit(entry["text"], voice,
                                       sampling=Sampling(seed=n, max_new_tokens=600)))
        speech = [job.result() for job in jobs]
    assert all(one.complete for one in speech)
    transcripts = [transcribe(one.samples) for one in speech]
    assert character_error_rate(SPOKEN, transcripts) <= 0.22
    assert character_error_rate(SPOKEN, transcripts[1:] + transcripts[:1]) > 0.8
    nearest = [speakers.nearest(one.samples) for one in speech]
    assert sum(a == b for a, b in zip(nearest, SPEAKERS, strict=True)) >= len(speech) - 1
    durations = [one.seconds / soundfile.info(RECORDINGS / name).duration
                 for one, name in zip(speech, INDEX, strict=True)]
    assert min(durations) > 0.5 and max(durations) <= 2


def test_attributes_are_followed(demo):
    requests = list(itertools.product(TEXTS, GENDERS, range(5), range(2)))
    jobs = {"pitch": [], "speed": []}
    with Service(demo) as service:
        for text, gender, level, n in requests:
            for attribute, other in (("pitch", "speed"), ("speed", "pitch")):
                jobs[attribute].append(service.submit(
                    text, gender=gender, **{attribute: LEVELS[level], other: "moderate"},
                    sampling=Sampling(seed=10 * level + n, max_new_tokens=600)))
        speech = {attribute: [job.result().samples for job in of] for attribute, of in jobs.items()}

    correct = 0
    pitches = {}        # (gender, level) -> medians of F0
    seconds = {}
    for (_, gender, level, _), by_pitch, by_speed in zip(
            requests, speech["pitch"], speech["speed"], strict=True):
        f0 = median_pitch(by_pitch)
        correct += gender_by_pitch(f0, level) == gender
        correct += gender_by_pitch(median_pitch(by_speed), 2) == gender
        pitches.setdefault((gender, level), []).append(f0)
        seconds.setdefault((gender, level), []).append(speech_seconds(by_speed))
    assert correct >= 2 * len(requests) - 4
    for gender in GENDERS:
        pitch = [statistics.mean(pitches[gender, level]) for level in range(5)]
        assert max(pitch[:2]) < pitch[2] < pitch[4] > pitch[3] > pitch[0]
        # one male voice in fifteen at level "high" is low
        assert gender == "male" or pitch[2] < pitch[3]
        duration = [statistics.mean(seconds[gender, level]) for level in range(5)]
        assert duration[0] > duration[2] > duration[4]
