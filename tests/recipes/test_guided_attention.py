"""Where in the text the guided attention heads should look."""

from dataclasses import replace

import numpy as np

from recipes.demo_voice.lm.dataset import AlignedRecording
from recipes.demo_voice.lm.guided_attention import attention_prior, attention_targets
from recipes.demo_voice.lm.phone_targets import word_alignments
from sparktts_ms.training.batches import collate
from sparktts_ms.training.examples import clone_example, continuation_example


def prior_of(example, length, vocabulary):
    """The priors [L, L] of both heads for one example."""
    batch = collate([example], length, 1)
    targets = attention_targets(batch.ids, batch.loss_mask, word_alignments(batch), vocabulary)
    return attention_prior(targets)[0]


def test_prior_follows_the_text(vocabulary, recordings):
    v = vocabulary
    text = "one two three four five six seven eight"
    example = clone_example(v, replace(recordings[0], text=text))
    letters, word_ends = prior_of(example, 320, v)
    begin = int(np.flatnonzero(example.ids == v.start_content)[0])
    end = int(np.flatnonzero(example.ids == v.end_content)[0])
    speech = example.prompt_length
    last = len(example.ids) - 2
    during_speech = letters[speech:last + 1]
    assert during_speech[0].argmax() == begin + 1
    assert during_speech[-1].argmax() == end - 1
    assert not during_speech[:, end:].any()
    assert not during_speech[:, :begin + 1].any()
    assert (np.diff(during_speech.argmax(1)) >= 0).all()
    for prior in (letters, word_ends):
        assert (prior[:speech] == 1).all()
        assert (prior[last + 1:] == 1).all()

    tokens = [v.plain.id_to_token(int(t)) for t in example.ids[begin + 1:end]]
    after_words = [n for n, token in enumerate(tokens) if n and token[0] == "\u0120"]
    after_words.append(len(tokens) - 1)
    targets = word_ends[speech:last + 1].argmax(1) - begin - 1
    assert sorted(set(targets.tolist())) == sorted(set(after_words))
    assert (np.diff(targets) >= 0).all()


def test_prior_follows_known_word_ends(vocabulary, recordings):
    v = vocabulary
    frames = len(recordings[0].semantic_ids)
    seconds = frames / 50
    text = "tip toe through"
    recording = AlignedRecording(**{
        **vars(recordings[0]), "text": text,
        "word_ends": (0.1 * seconds, 0.8 * seconds, 0.9 * seconds)})    # the second word is long
    ids = v.encode(text)
    word = np.cumsum([v.plain.id_to_token(t).startswith("\u0120") for t in ids])
    prompt_tokens = len(v.encode(f"{text} {text}")) - len(ids)
    for example, skipped_tokens, skipped_frames in (
            (clone_example(v, recording), 0, 0),
            (continuation_example(v, recording, recording), prompt_tokens, frames)):
        letters, word_ends = prior_of(example, 512, v)
        begin = int(np.flatnonzero(example.ids == v.start_content)[0]) + 1 + skipped_tokens
        start = int(np.flatnonzero(example.ids == v.start_semantic_token)[0]) + skipped_frames
        for n, (a, b) in enumerate(((0, 0.1), (0.1, 0.8), (0.8, 0.9))):
            query = start + int((a + b) / 2 * frames)
            assert word[letters[query].argmax() - begin] == n
            target = word_ends[query].argmax() - begin
            assert target == len(word) - 1 or word[target - 1] == n != word[target]
