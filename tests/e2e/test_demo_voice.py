"""The demonstration voice speaks: a recogniser understands it, it sounds like the prompt, it does what the labels ask.

A dozen sentences come out with less than a quarter of their letters heard wrongly, and with nine in ten when they are compared
with each other's. The bounds lie between; `make eval` judges more of them, against what was asked for.
The recordings are flite's, of sentences that no part of the model was trained on and that the recogniser reads without fault.
"""

import json
import statistics
from itertools import product

import numpy as np
import pytest
import soundfile

from evaluation.asr import error_rate, transcript
from evaluation.metrics import Voices, gender_by_pitch, pitch_off
from sparktts_ms import Sampling, Service, SparkTTS
from sparktts_ms.audio.loudness import speech_seconds
from sparktts_ms.audio.pitch import median_pitch
from sparktts_ms.generation.attributes import GENDERS, LEVELS
from tests.helpers import ROOT

RECORDINGS = ROOT / "tests" / "speech" / "recordings"
INDEX = json.loads((RECORDINGS / "index.json").read_text())
MODEL = ROOT / "pretrained_models" / "Spark-TTS-demo"
VOICES = sorted({entry["voice"] for entry in INDEX.values()})


@pytest.fixture(scope="module")
def demo():
    return SparkTTS.from_pretrained(MODEL, device_target="CPU")


@pytest.fixture(scope="module")
def known():
    return Voices({voice: [soundfile.read(RECORDINGS / name)[0] for name, entry in INDEX.items() if entry["voice"] == voice]
                   for voice in VOICES})


def letters_wrong(expected, heard):
    """Words that are nearly right count as nearly right."""
    return error_rate(*([" ".join(text.replace(" ", "")) for text in texts] for texts in (expected, heard)))


def test_the_model_is_small():
    assert sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file()) <= 25_000_000


def test_the_recogniser_understands_the_teacher_and_not_noise():
    samples = [soundfile.read(RECORDINGS / name)[0] for name in INDEX]
    assert error_rate([entry["spoken"] for entry in INDEX.values()], [transcript(x) for x in samples]) < 0.05
    noise = np.random.default_rng(0).standard_normal(32000) * 0.1
    assert error_rate([entry["spoken"] for entry in INDEX.values()], [transcript(noise)] * len(INDEX)) > 0.8


def test_the_codec_keeps_words_voices_and_pitch(demo, known):
    heard, voices, off = [], [], []
    for name, entry in INDEX.items():
        voice = demo.encode_voice(RECORDINGS / name, entry["text"])
        samples = demo.decode(global_ids=voice.global_ids, semantic_ids=voice.semantic_ids)
        heard.append(transcript(samples))
        voices.append(known.nearest(samples))
        off.append(pitch_off(samples, soundfile.read(RECORDINGS / name)[0]))
    assert error_rate([entry["spoken"] for entry in INDEX.values()], heard) <= 0.2
    assert voices == [entry["voice"] for entry in INDEX.values()]
    assert statistics.median(off) < 0.04        # 0.055 by a codec without a sense of phase: 91 Hz became 100


@pytest.mark.parametrize("transcribed", [False, True])
@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_a_cloned_voice_says_the_words(known, transcribed, quantize):
    tts = SparkTTS.from_pretrained(MODEL, device_target="CPU", quantize=quantize)
    jobs = []
    with Service(tts) as service:
        for n, (name, entry) in enumerate(INDEX.items()):
            prompt = f"{entry['voice']}_{(int(name.split('_')[1][0]) + 1) % 3}.flac"
            voice = service.encode_voice(RECORDINGS / prompt, INDEX[prompt]["text"] if transcribed else None)
            jobs.append(service.submit(entry["text"], voice, sampling=Sampling(seed=n, max_new_tokens=600)))
        speech = [job.result() for job in jobs]
    assert all(s.complete for s in speech)
    said, heard = [entry["spoken"] for entry in INDEX.values()], [transcript(s.samples) for s in speech]
    assert letters_wrong(said, heard) <= 0.22 < 0.8 < letters_wrong(said, heard[1:] + heard[:1])
    right = [known.nearest(s.samples) == entry["voice"] for s, entry in zip(speech, INDEX.values(), strict=True)]
    assert sum(right) >= len(right) - 1
    lengths = sorted(s.seconds / soundfile.info(RECORDINGS / name).duration for s, name in zip(speech, INDEX, strict=True))
    assert lengths[0] > 0.5 and lengths[-1] <= 2


def test_labels_are_obeyed(demo):
    jobs = []
    with Service(demo) as service:
        for text, gender in product(("The water is still famous.", "Is there a cake in the garden?"), GENDERS):
            for level in range(5):
                for n in range(2):
                    sampling = Sampling(seed=10 * level + n, max_new_tokens=600)
                    jobs += [("pitch", gender, level, service.submit(text, gender=gender, pitch=LEVELS[level], speed="moderate",
                                                                     sampling=sampling)),
                             ("speed", gender, level, service.submit(text, gender=gender, pitch="moderate", speed=LEVELS[level],
                                                                     sampling=sampling))]
        told = [(kind, gender, level, job.result().samples) for kind, gender, level, job in jobs]
    right = [gender_by_pitch(median_pitch(x), level if kind == "pitch" else 2) == gender for kind, gender, level, x in told]
    assert sum(right) >= len(right) - 4
    for gender in GENDERS:
        pitch, seconds = ([statistics.mean(measure(x) for kind, g, level, x in told if (kind, g, level) == (name, gender, n))
                           for n in range(5)] for name, measure in (("pitch", median_pitch), ("speed", speech_seconds)))
        assert max(pitch[:2]) < pitch[2] < pitch[4] > pitch[3] > pitch[0] and seconds[0] > seconds[2] > seconds[4]
        assert gender == "male" or pitch[2] < pitch[3]          # one man in fifteen who should be high is low
