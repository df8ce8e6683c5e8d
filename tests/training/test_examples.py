"""Training examples: the ids of inference, and which recordings become a prompt."""

import re
from dataclasses import replace

import numpy as np
import pytest

from sparktts_ms.errors import InputError
from sparktts_ms.generation.attributes import Style
from sparktts_ms.training.dataset import EncodedRecording
from sparktts_ms.training.examples import (
    ExampleBuilder,
    clone_example,
    continuation_example,
    style_example,
)
from sparktts_ms.voice import Voice


def assert_grammar_accepts(stages, answer):
    """`answer` is exactly what the stages of constrained decoding let the model generate."""
    position = 0
    for stage in stages:
        if stage.stops:
            length = len(answer) - position
            assert answer[-1] in stage.stops
            assert not set(answer[position:-1]) & set(stage.stops)
        else:
            length = stage.count
        assert set(answer[position:position + length]) <= set(stage.allowed.tolist())
        position += length
    assert position == len(answer)


def test_clone_and_continuation_equal_inference(tts, recordings):
    v = tts.vocabulary
    one, other = recordings
    voice = Voice(np.array(one.global_ids))
    other_voice = Voice(np.array(other.global_ids), np.array(other.semantic_ids), other.text)
    for example, prompt_voice in ((clone_example(v, one), voice),
                                  (continuation_example(v, other, one), other_voice)):
        prompt, stages = tts.generator.prompt(one.text, prompt_voice)
        answer = example.ids[example.prompt_length:]
        np.testing.assert_array_equal(example.ids[:example.prompt_length], prompt)
        assert_grammar_accepts(stages, answer)
        assert v.bicodec_semantic.values(answer).tolist() == one.semantic_ids


def test_style_equals_inference(tts, recordings):
    v = tts.vocabulary
    # 200 Hz and four syllables a second are moderate for a woman
    recording = replace(recordings[0], pitch=200.0, seconds=0.5)
    example = style_example(v, recording)
    style = Style("female", "moderate", "moderate")
    prompt, stages = tts.generator.prompt(recording.text, None, style)
    np.testing.assert_array_equal(example.ids[:example.prompt_length], prompt)
    assert_grammar_accepts(stages, example.ids[example.prompt_length:])
    assert v.bicodec_global.values(example.ids).tolist() == recording.global_ids
    assert style_example(v, replace(recording, gender=None)) is None
    assert style_example(v, replace(recording, pitch=0.0)) is None


def recording(text, seconds, speaker="a"):
    """A recording of `text` that lasts so many seconds."""
    return EncodedRecording(text, speaker, "female", list(range(32)),
                            list(range(int(50 * seconds))), 200.0, seconds)


def clone_texts(vocabulary, examples):
    """(texts of the prompt, text to speak) of every clone among the examples."""
    found = []
    for example in examples:
        if vocabulary.start_style_label not in example.ids:
            end = np.flatnonzero(example.ids == vocabulary.end_content)[0]
            text = vocabulary.plain.decode(example.ids[1:end].tolist())
            *prompt, target = re.findall(r"Slow .|Plain .|Stranger", text)
            found.append((prompt, target))
    return found


def test_continuations_match_speaker_and_rate(tts):
    v = tts.vocabulary
    random = np.random.default_rng(7)
    slow = [recording(f"Slow {n}", 4.0) for n in "abcdef"]
    plain = [recording(f"Plain {n}", 2.0) for n in "abcdefghijklmnop"]
    stranger = recording("Stranger", 4.0, "b")
    builder = ExampleBuilder(v, 1024)
    clones = []
    for _ in range(20):
        clones += clone_texts(v, builder.epoch([*slow, *plain, stranger], random))

    plain_prompts = [prompt for prompt, text in clones if text.startswith("Plain")]
    assert {len(prompt) for prompt in plain_prompts} == {0, 1, 2}
    assert 0.2 < np.mean([bool(prompt) for prompt in plain_prompts]) < 0.5
    assert len(plain_prompts) == 20 * len(plain)
    slow_prompts = [prompt for prompt, text in clones if text.startswith("Slow")]
    assert {len(prompt) for prompt in slow_prompts} == {1, 2}
    assert len(slow_prompts) == 20 * len(slow)
    assert all(text not in prompt for prompt, text in clones)
    assert ([], "Stranger") in clones
    same_rate = [prompt[0][:4] == text[:4] for prompt, text in clones if prompt]
    assert np.mean(same_rate) > 0.95        # the most similar of those that were drawn


def test_continuations_fit_max_length(tts):
    v = tts.vocabulary
    slow = [recording(f"Slow {n}", 4.0) for n in "abcdef"]
    plain = [recording(f"Plain {n}", 2.0) for n in "abcdefghijklmnop"]
    examples = ExampleBuilder(v, 330).epoch([*slow, *plain], np.random.default_rng(7))
    clones = clone_texts(v, examples)
    assert {len(prompt) for prompt, text in clones if text.startswith("Plain")} == {0, 1}
    assert not any(text.startswith("Slow") for _, text in clones)


def test_no_example_fits(tts, recordings):
    with pytest.raises(InputError, match="max_length"):
        ExampleBuilder(tts.vocabulary, 5).epoch(recordings, np.random.default_rng(0))


def test_augmentation_is_applied_with_its_probability(tts, recordings):
    def augment(recording, random):
        return replace(recording, speaker="augmented")

    def fraction(probability):
        builder = ExampleBuilder(tts.vocabulary, 640, augment, probability)
        examples = builder.epoch([recordings[0]] * 50, np.random.default_rng(0))
        return np.mean([example.recording.speaker == "augmented" for example in examples])

    assert fraction(0.0) == 0
    assert 0.2 < fraction(0.5) < 0.8
    assert fraction(1.0) == 1
