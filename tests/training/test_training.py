"""The trained network against the public implementation, its gradients against differences, and runs that are killed."""

import json
from dataclasses import replace
from itertools import pairwise

import mindspore as ms
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore import Tensor

from sparktts_ms import Sampling, SparkTTS
from sparktts_ms.config_files import read_config
from sparktts_ms.errors import InputError
from sparktts_ms.runtime import Runtime
from sparktts_ms.training.batches import LENGTHS, Schedule, batches, stack
from sparktts_ms.training.examples import Encoded, Sequence, clone_sequence, continued_sequence, encode, sequences, style_sequence
from sparktts_ms.training.garble import garble
from sparktts_ms.training.guide import guide, text_pieces
from sparktts_ms.training.manifest import Recording
from sparktts_ms.training.network import TELLING, TrainedQwen2
from sparktts_ms.training.optimizer import TrainingStep, rate
from sparktts_ms.training.phones import inventory, sounds, spellings, words
from sparktts_ms.training.store import write_arrays
from sparktts_ms.training.trainer import Settings, Trainer
from sparktts_ms.voice import Voice
from sparktts_ms.weights.open import find_weights, open_weights
from sparktts_ms.weights.source import WeightSource


@pytest.fixture(scope="module")
def spark(tiny_model):
    return SparkTTS.from_pretrained(tiny_model, device_target="CPU")


@pytest.fixture(scope="module")
def spoken(spark, wavs, tmp_path_factory):
    recordings = [Recording(wavs / "p16k_mono_3s.wav", "One two.", "a", "female"),
                  Recording(wavs / "p24k_mono_0s5.wav", "Three.", "a", "female"), Recording(wavs / "none.wav", "Lost.")]
    return encode(recordings, spark, tmp_path_factory.mktemp("encoded") / "encoded.jsonl")


def network(folder, rank=0):
    Runtime.start("CPU")
    return TrainedQwen2(WeightSource(find_weights(folder / "LLM")).at("model"), read_config(folder).llm, rank)


@pytest.mark.parametrize("run", ["clone_no_text", "clone_prompt_text", "control_male"])
def test_losses_are_those_of_the_public_implementation(tiny_model, golden, run):
    arrays = np.load(golden / f"tts_{run}.npz")
    net, ids = network(tiny_model), arrays["input_ids"].astype(np.int32)
    counts = np.ones(len(ids), np.float32)
    targets = arrays["prefill.all_argmax"].astype(np.int32)
    loss, hits = net(Tensor(ids), Tensor(targets), Tensor(counts), *net.surroundings(len(ids)))
    expected = (arrays["prefill.all_lse"] - arrays["prefill.all_max"]).sum()
    assert float(loss.asnumpy()) == pytest.approx(expected, rel=1e-4)
    assert float(hits.asnumpy()) == len(ids)


@pytest.mark.parametrize("rank", [0, 4])
def test_gradients_are_the_slopes_of_the_loss(tiny_model, rank):
    net, random = network(tiny_model, rank), np.random.default_rng(3)
    for parameter in net.trainable_params():
        if "lora_b" in parameter.name:          # zero at first, and with it the slope of its partner
            parameter.set_data(Tensor(0.05 * random.standard_normal(parameter.shape).astype(np.float32)))
    ids = random.integers(0, 1000, 2 * 12).astype(np.int32)
    inputs = (Tensor(ids), Tensor(np.roll(ids, -1)), Tensor((np.arange(24) % 12 > 3).astype(np.float32)), *net.surroundings(12))
    weights = ms.ParameterTuple(net.trainable_params())
    (_, _), gradients = ms.value_and_grad(net, None, weights, has_aux=True)(*inputs)
    chosen = [n for n, w in enumerate(weights) if any(part in w.name for part in ("layers.1", "embed", "norm.weight"))]
    for n in chosen:
        weight, slope = weights[n], gradients[n].asnumpy().astype(np.float64)
        start, direction = weight.asnumpy(), slope / max(np.linalg.norm(slope), 1e-12)
        losses = []
        for step in (1e-2, -1e-2):
            weight.set_data(Tensor((start + step * direction).astype(np.float32)))
            losses.append(float(net(*inputs)[0].asnumpy()))
        weight.set_data(Tensor(start))
        assert (losses[0] - losses[1]) / 2e-2 == pytest.approx(np.linalg.norm(slope), rel=0.03, abs=2e-2), weight.name


def test_lora_merges_into_the_weights_that_inference_reads(tiny_model):
    net, random = network(tiny_model, 2), np.random.default_rng(4)
    assert all("lora" in parameter.name for parameter in net.trainable_params())
    for parameter in net.trainable_params():
        parameter.set_data(Tensor(0.1 * random.standard_normal(parameter.shape).astype(np.float32)))
    plain = network(tiny_model)
    merged = net.released()
    assert merged.keys() == open_weights(find_weights(tiny_model / "LLM")).info.keys()
    for name, parameter in plain.parameters_and_names():
        parameter.set_data(Tensor(merged[f"model.{name}"]))
    ids = random.integers(0, 1000, 20).astype(np.int32)
    inputs = (Tensor(ids), Tensor(ids), Tensor(np.ones(20, np.float32)), *net.surroundings(20))
    assert float(net(*inputs)[0].asnumpy()) == pytest.approx(float(plain(*inputs)[0].asnumpy()), rel=1e-5)


def test_recordings_are_encoded_once(spark, wavs, tmp_path, caplog):
    cache = tmp_path / "encoded.jsonl"
    recordings = [Recording(wavs / "p16k_mono_3s.wav", "One.", "a", "male"), Recording(tmp_path / "gone.wav", "Two.")]
    first = encode(recordings, spark, cache)
    assert len(first) == 1 and "gone.wav" in caplog.text
    voice = spark.encode_voice(recordings[0].audio, "One.")
    assert first[0].semantic_ids == voice.semantic_ids.tolist() and first[0].global_ids == voice.global_ids.tolist()
    cache.write_text(cache.read_text() + '{"key": "cut sh')             # killed while writing

    class Nobody:
        def encode_voice(self, *_):
            raise AssertionError("encoded twice")
    assert encode(recordings[:1], Nobody(), cache) == first
    with pytest.raises(InputError, match="None of"):
        encode(recordings[1:], spark, cache)


def test_sequences_are_what_inference_asks_and_hears(spark, spoken):
    v, one, other = spark.vocabulary, *spoken
    for sequence, who in ((clone_sequence(v, one), Voice(np.array(one.global_ids))),
                          (continued_sequence(v, other, one),
                           Voice(np.array(other.global_ids), np.array(other.semantic_ids), other.text))):
        prompt, phases = spark.prompt_for(one.text, who)
        np.testing.assert_array_equal(sequence.ids[:sequence.given], prompt)
        follows(phases, sequence.ids[sequence.given:])
        assert v.bicodec_semantic.values(sequence.ids[sequence.given:]).tolist() == one.semantic_ids
    from sparktts_ms.prompt import Style
    voiced = Encoded(**{**vars(one), "pitch": 200.0, "seconds": 0.5})        # moderate for a woman; four syllables a second
    sequence = style_sequence(v, voiced)
    prompt, phases = spark.prompt_for(one.text, None, Style("female", "moderate", "moderate"))
    np.testing.assert_array_equal(sequence.ids[:sequence.given], prompt)
    follows(phases, sequence.ids[sequence.given:])
    assert v.bicodec_global.values(sequence.ids).tolist() == one.global_ids
    assert style_sequence(v, Encoded(**{**vars(voiced), "gender": None})) is None
    assert style_sequence(v, Encoded(**{**vars(voiced), "pitch": 0.0})) is None


def follows(phases, answer):
    """`answer` is something the phases of inference would let the model say, to its end."""
    at = 0
    for phase in phases:
        if phase.stops:
            length = len(answer) - at
            assert answer[-1] in phase.stops and not set(answer[at:-1]) & set(phase.stops)
        else:
            length = phase.count
        assert set(answer[at:at + length]) <= set(phase.allowed.tolist())
        at += length
    assert at == len(answer)


@settings(deadline=None)
@given(st.lists(st.integers(3, 400), min_size=1, max_size=60), st.integers(64, 2000), st.integers(1, 2**20))
def test_batches_hold_every_sequence_in_fixed_shapes(lengths, tokens, seed):
    random = np.random.default_rng(seed)
    epoch = [Sequence(random.integers(1, 1000, n).astype(np.int32), int(random.integers(1, n))) for n in lengths]
    shapes, seen = {}, []
    for batch in batches(epoch, tokens, 400):
        rows, length = batch.ids.shape
        assert shapes.setdefault(length, rows) == rows and (length in LENGTHS or length == 400)
        assert rows == 1 or rows * length <= tokens
        for row in range(rows):
            n = int(batch.counts[row].nonzero()[0].max(initial=-1)) + 1
            if n:
                seen.append((*batch.ids[row, :n], batch.targets[row, n - 1]))
                np.testing.assert_array_equal(batch.ids[row, 1:n], batch.targets[row, :n - 1])
    everything = [tuple(s.ids) for s in epoch]
    assert len(seen) <= len(everything) and all(s in everything for s in seen)
    assert {next(b for b in (*LENGTHS, 400) if b >= min(n - 1, 400)) for n in lengths} >= set(shapes)
    assert len(everything) - len(seen) < sum(max(1, tokens // length) for length in shapes)


def test_the_schedule_goes_on_anywhere(spark, spoken):
    def epoch(random):
        return sequences(spark.vocabulary, spoken, random, 512)
    schedule, again = Schedule(epoch, 600, 512, 5), Schedule(epoch, 600, 512, 5)
    run = schedule(0)
    first = [next(run) for _ in range(9)]
    rest = again(6)
    for batch in first[6:]:
        np.testing.assert_array_equal(batch.ids, next(rest).ids)
    assert any(a.ids.shape != b.ids.shape or (a.ids != b.ids).any() for a, b in zip(first[:4], first[4:8], strict=True))
    with pytest.raises(InputError, match="--longest"):
        sequences(spark.vocabulary, spoken, np.random.default_rng(0), 5)


def test_the_rate_rises_and_falls():
    rates = [rate(n, 100, 1.0, 10) for n in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1.0 == max(rates) and rates[100] == pytest.approx(0.05)
    assert all(a > b for a, b in pairwise(rates[10:]))


def test_the_guide_leads_along_the_text(spark, spoken):
    v, one = spark.vocabulary, spoken[0]
    clone = clone_sequence(v, Encoded(**{**vars(one), "text": "one two three four five six seven eight"}))
    batch = stack([clone], 320, 1)
    lead, ends = guide(batch, v)[0]
    begin, end = (int(np.flatnonzero(clone.ids == mark)[0]) for mark in (v.start_content, v.end_content))
    speech, last = clone.given, len(clone.ids) - 2
    assert lead[speech].argmax() == begin + 1 and lead[last].argmax() == end - 1
    assert not lead[speech:last + 1, end:].any() and not lead[speech:last + 1, :begin + 1].any()
    assert (np.diff(lead[speech:last + 1].argmax(1)) >= 0).all()
    assert (lead[:speech] == 1).all() and (lead[last + 1:] == 1).all()
    assert (ends[:speech] == 1).all() and (ends[last + 1:] == 1).all()
    pieces = [v.plain.id_to_token(int(t)) for t in clone.ids[begin + 1:end]]
    after = [n for n, piece in enumerate(pieces) if n and piece[0] == "\u0120"] + [len(pieces) - 1]
    looked = ends[speech:last + 1].argmax(1) - begin - 1
    assert sorted(set(looked.tolist())) == sorted(set(after)) and (np.diff(looked) >= 0).all()


def test_the_guide_follows_words_whose_ends_are_known(spark, spoken):
    v, one = spark.vocabulary, spoken[0]
    seconds = len(one.semantic_ids) / 50
    ends = (0.1 * seconds, 0.8 * seconds, 0.9 * seconds)            # the second word is drawn out
    timed = Encoded(**{**vars(one), "text": "tip toe through", "word_ends": ends})
    pieces = v.encode("tip toe through")
    word = np.cumsum([v.plain.id_to_token(t).startswith("\u0120") for t in pieces])
    for sequence, offset in ((clone_sequence(v, timed), 0), (continued_sequence(v, timed, timed), len(one.semantic_ids))):
        lead, ends = guide(stack([sequence], 512, 1), v)[0]
        assert sequence.course is not None and sequence.course[-1, 0] <= offset + len(one.semantic_ids)
        begin = int(np.flatnonzero(sequence.ids == v.start_content)[0]) + 1 + (0 if not offset else len(v.encode(
            "tip toe through tip toe through")) - len(pieces))
        start = int(np.flatnonzero(sequence.ids == v.start_semantic_token)[0]) + offset
        for n, (a, b) in enumerate(((0, 0.1), (0.1, 0.8), (0.8, 0.9))):
            at = start + int((a + b) / 2 * len(one.semantic_ids))
            assert word[lead[at].argmax() - begin] == n
            looked = ends[at].argmax() - begin
            assert looked == len(word) - 1 or word[looked - 1] == n != word[looked]


def test_a_guided_head_follows(tiny_model, spoken, tmp_path):
    runs = {}
    for weight in (0.0, 0.3):
        run = trainer(tiny_model, tmp_path / str(weight), spoken, Settings(**{**vars(SMALL), "steps": 12, "guide": weight}))
        batch = next(run.schedule(0))
        lead = Tensor(guide(batch, run.vocabulary)), Tensor(0.0, ms.float32)
        before = float(run.network(*run._inputs(batch), *lead)[2].asnumpy())
        run.train()
        runs[weight] = before, float(run.network(*run._inputs(batch), *lead)[2].asnumpy())
    assert runs[0.0][0] == pytest.approx(runs[0.3][0])
    assert runs[0.3][1] < 0.8 * runs[0.3][0] and runs[0.3][1] < 0.8 * runs[0.0][1]


def test_a_held_head_looks_where_it_should_whatever_it_wants(tiny_model):
    config = read_config(tiny_model).llm
    network = TrainedQwen2(WeightSource(find_weights(tiny_model / "LLM")).at("model"), config)
    attention, random = network.layers[1].self_attn, np.random.default_rng(0)
    x = Tensor(random.standard_normal((2 * 24, config.hidden_size)).astype(np.float32))
    lead = np.tril(random.uniform(0, 1, (2, 2, 24, 24))).astype(np.float32)
    lead[..., 1], lead[1, :, 5] = 0.0, 1.0                          # all rows are led, but for one
    lead[:, :, 0, 0] = 0.5

    def heard(hold):
        y, astray = attention(x, network.spread(2, *network.surroundings(24)), Tensor(lead), Tensor(hold, ms.float32))
        return y.asnumpy().reshape(2, 24, -1), float(astray.asnumpy())
    before = heard(1.0), heard(0.0)
    weight = attention.q_proj.weight.asnumpy().copy()
    for head in (0, config.num_attention_heads // 2):               # the wishes of the heads that are led
        weight[head * config.head_dim:(head + 1) * config.head_dim] *= -3
    attention.q_proj.weight.set_data(Tensor(weight))
    after = heard(1.0), heard(0.0)
    led = np.ones((2, 24), bool)
    led[1, 5] = False
    np.testing.assert_allclose(after[0][0][led], before[0][0][led], atol=1e-5)
    assert np.abs(after[0][0][~led] - before[0][0][~led]).max() > 1e-3 < np.abs(after[1][0] - before[1][0])[led].max()
    assert before[0][1] == pytest.approx(before[1][1]) and after[0][1] != pytest.approx(before[0][1])


def timed(one, text="tip toe through"):
    """As if an aligner had found these words."""
    at = len(one.semantic_ids) / 50
    phones = (("pau", 0.02 * at), ("t", 0.05 * at), ("ih", 0.1 * at), ("p", 0.3 * at), ("t", 0.4 * at), ("ow", 0.8 * at),
              ("th", 0.85 * at), ("r", 0.86 * at), ("uw", 0.9 * at), ("pau", at))
    return Encoded(**{**vars(one), "text": text, "word_ends": (0.3 * at, 0.8 * at, 0.9 * at), "phones": phones})


def test_every_frame_that_is_learnt_has_its_phone(spark, spoken):
    v, one = spark.vocabulary, timed(spoken[0])
    names = inventory([one, spoken[1]])
    assert names == ["", "ih", "ow", "p", "pau", "r", "t", "th", "uw"]
    for sequence in (clone_sequence(v, one), continued_sequence(v, one, one), style_sequence(v, one)):
        batch = stack([sequence, clone_sequence(v, spoken[1])], 512, 3)
        said = sounds(batch, names).reshape(3, 512)
        known = np.flatnonzero(said[0] >= 0)
        np.testing.assert_array_equal(batch.targets[0, known], [v.bicodec_semantic[s] for s in one.semantic_ids])
        assert batch.targets[0, known[-1] + 1] == v.end and (said[1:] == -1).all()
        heard = said[0, known]
        starts = np.flatnonzero(np.diff(heard, prepend=-1))
        assert [names[n] for n in heard[starts]] == [name for name, _ in one.phones]
        np.testing.assert_allclose(starts[1:], [end * 50 for _, end in one.phones[:-1]], atol=1)


def test_every_frame_that_is_learnt_knows_its_word(spark, spoken):
    v, one, stop = spark.vocabulary, timed(spoken[0]), timed(spoken[0], "tip toe through.")
    names = inventory([one])
    for sequence, first in ((clone_sequence(v, one), 0), (style_sequence(v, stop), 0), (continued_sequence(v, one, stop), 0),
                            (continued_sequence(v, stop, one), 1)):        # "through.tip" is no word that anybody has spelt
        batch = stack([sequence, clone_sequence(v, spoken[1])], 512, 3)
        told, heard = words(batch, names).reshape(3, 512, 11), sounds(batch, names).reshape(3, 512)
        known = (told[0] >= 0).all(1)
        assert (told[1:] == -1).all() and (told[0][~known] == -1).all()
        speaks = (heard[0] >= 0) & (heard[0] != names.index("pau"))
        said = ["t ih p", "t ow", "th r uw"]
        spelt = [" ".join(names[n] for n in row[:10] if n) for row in told[0][known]]
        assert [word for n, word in enumerate(spelt) if spelt[n - 1:n] != [word]] == said[first:]
        np.testing.assert_array_equal(told[0][known, told[0][known, 10]], heard[0][known])
        assert first or (known == speaks).all()


def test_every_word_is_spelt_where_it_has_been_read(spark, spoken):
    v, one, stop = spark.vocabulary, timed(spoken[0]), timed(spoken[0], "tip toe through.")
    names = inventory([one])
    said = ("t ih p", "t ow", "th r uw")
    for sequence, ends in ((clone_sequence(v, one), (3, 7, 14)), (style_sequence(v, stop), (3, 7, 15)),
                           (continued_sequence(v, one, stop), (3, 7, 15, 19, 23, 31)),
                           (continued_sequence(v, stop, one), (3, 7, -1, 23, 30))):
        batch = stack([sequence, clone_sequence(v, spoken[1])], 512, 3)
        spelt = spellings(batch, names, v).reshape(3, 512, -1)
        begin, pieces = text_pieces(batch.ids[0], v)
        taught = np.flatnonzero((spelt[0] >= 0).any(1)) - begin
        after = np.cumsum([len(piece) for piece in pieces])
        expected = [int(np.searchsorted(after, min(end, after[-1] - 1), "right")) for end in ends if end >= 0]
        assert taught.tolist() == expected and (spelt[1:] == -1).all()
        given = [word for word, end in zip(said * 2, ends, strict=False) if end >= 0]
        if -1 in ends:                          # "through.tip" is no word that anybody has spelt
            given = [*said[:2], *said[1:]]
        assert [" ".join(names[n] for n in spelt[0, begin + place] if n) for place in taught] == given


@pytest.mark.parametrize("pull", [0.0, 0.3])
def test_phones_are_learnt_and_their_readers_are_not_kept(tiny_model, spoken, tmp_path, pull):
    how = Settings(**{**vars(SMALL), "steps": 24, "phones": 0.5, "guide": pull})
    run = trainer(tiny_model, tmp_path, [timed(one) for one in spoken], how)
    batch = next(run.schedule(0))
    lessons = (spellings(batch, run.phones, run.vocabulary), sounds(batch, run.phones), words(batch, run.phones))

    def misread():
        return float(run.network(*run._inputs(batch), None, None, *map(Tensor, lessons))[3].asnumpy())
    before = misread()
    taught = sum(weight * (lesson >= 0).sum() for lesson, weight in zip(lessons, (1, 1, TELLING), strict=True))
    assert before == pytest.approx(np.log(len(run.phones)) * taught, rel=1e-4)
    run.train()
    assert misread() < 0.8 * before
    SparkTTS.from_pretrained(run.write_model(), device_target="CPU")
    with pytest.raises(InputError, match="--phones"):
        trainer(tiny_model, tmp_path, spoken, how)


@given(st.integers(0, 200), st.integers(0, 99), st.floats(0, 0.5))
def test_garbled_speech_comes_from_the_same_utterance(length, seed, share):
    random = np.random.default_rng(seed)
    ids, speech = random.integers(0, 1000, (3, 220)), np.zeros((3, 220), bool)
    speech[0, 10:10 + length], speech[1, 5:200] = True, True
    before = ids.copy()
    heard = garble(ids, speech, share, np.random.default_rng(seed))
    np.testing.assert_array_equal(ids, before)
    np.testing.assert_array_equal(heard[~speech], ids[~speech])
    for row in range(3):
        assert set(heard[row, speech[row]]) <= set(ids[row, speech[row]])
    np.testing.assert_array_equal(garble(ids, speech, share, np.random.default_rng(seed)), heard)


def test_as_much_is_garbled_as_was_asked():
    ids, speech = np.arange(400_000).reshape(100, 4000), np.ones((100, 4000), bool)
    for share in (0.1, 0.3):
        wrong = (garble(ids, speech, share, np.random.default_rng(0)) != ids).mean()
        assert 0.75 * share < wrong <= share        # stretches overlap now and then


def test_garbled_tokens_are_read_and_true_ones_learnt(tiny_model, spoken, tmp_path):
    run = trainer(tiny_model, tmp_path, spoken, Settings(**{**vars(SMALL), "garble": 0.3}))
    batch = next(iter(run.schedule(0)))
    heard, v = run._garbled(batch, 1), run.vocabulary
    changed = heard.ids != batch.ids
    assert changed.any() and heard.targets is batch.targets and heard.counts is batch.counts
    assert {int(t) in v.bicodec_semantic for t in batch.ids[changed]} == {True}
    assert (run._garbled(batch, 2).ids != heard.ids).any()


def test_a_network_as_deep_as_the_released_one_compiles(tiny_model, tmp_path):
    """Its hundreds of weights are updated without a loop, which MindSpore would nest more than 1,000 calls deep."""
    config = read_config(tiny_model).llm
    with open_weights(find_weights(tiny_model / "LLM")) as file:
        arrays = {name: file.read(name).astype(np.float32) for name in file.info}
    for n in range(24):
        arrays |= {name.replace("layers.0.", f"layers.{n}."): array for name, array in arrays.items() if "layers.0." in name}
    write_arrays(tmp_path / "deep.safetensors", arrays)
    runtime = Runtime.start("CPU")
    network = TrainedQwen2(WeightSource(tmp_path / "deep.safetensors").at("model"), replace(config, num_hidden_layers=24), 2)
    step = TrainingStep(network, 0.01)
    assert len(step.weights) == 24 * 7 * 2

    def learn(*inputs):
        return step(*inputs)
    ids = np.arange(16, dtype=np.int32)
    loss, _, norm, _ = runtime.compile(learn, "step")(Tensor(1e-3, ms.float32), Tensor(ids), Tensor(np.roll(ids, -1)),
                                                      Tensor(np.ones(16, np.float32)), *network.surroundings(16))
    assert np.isfinite(float(loss.asnumpy())) and float(norm.asnumpy()) > 0


SMALL = Settings(steps=8, rate=1e-3, warmup=2, tokens=400, longest=512, garble=0.1, holdout=2, evaluate_every=4, save_every=3)


def trainer(model, out, spoken, how=SMALL):
    out.mkdir(exist_ok=True)
    return Trainer(model, out, read_config(model), spoken, how, Runtime.start("CPU"))


class Killed(Exception):
    pass


def test_a_killed_run_ends_as_if_it_had_not_been(tiny_model, spoken, tmp_path):
    trainer(tiny_model, tmp_path / "whole", spoken).train()

    def killing(steps):
        for n, step in enumerate(steps):
            if n == 5:
                raise Killed
            yield step
    run = trainer(tiny_model, tmp_path / "killed", spoken)
    with pytest.raises(Killed):
        run.train(killing)
    (tmp_path / "killed" / "progress.jsonl").open("a").write('{"step": 4, "lo')
    trainer(tiny_model, tmp_path / "killed", spoken).train()
    whole, killed = ((tmp_path / name / "state.safetensors").read_bytes() for name in ("whole", "killed"))
    assert whole == killed
    lines = [[json.loads(line) for line in (tmp_path / name / "progress.jsonl").read_text().splitlines()]
             for name in ("whole", "killed")]
    assert [e for e in lines[0] if "unseen_loss" in e] == [e for e in lines[1] if "unseen_loss" in e]
    with pytest.raises(InputError, match=r"rate: 0\.001 there, 0\.01 now"):
        trainer(tiny_model, tmp_path / "killed", spoken, Settings(**{**vars(SMALL), "rate": 0.01})).train()


def test_what_was_learnt_is_said(tiny_model, spark, spoken, tmp_path):
    """From recordings to a model directory that, at temperature 0, answers with the very ids of the recording."""
    short = [Encoded(**{**vars(one), "speaker": None, "gender": None, "semantic_ids": one.semantic_ids[:20]}) for one in spoken]
    run = trainer(tiny_model, tmp_path / "run", [short[0], short[1]],
                  Settings(steps=120, rate=3e-3, warmup=10, tokens=400, longest=512, holdout=3, save_every=200))
    run.train()
    tts = SparkTTS.from_pretrained(run.write_model("float16"), device_target="CPU")
    for one in short:
        speech = tts.synthesize(one.text, Voice(np.array(one.global_ids)), sampling=Sampling(temperature=0, max_new_tokens=40))
        assert speech.semantic_ids.tolist() == one.semantic_ids and speech.complete


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rate": 0.0}, {"rate": 1.5}, {"holdout": 1}, {"lora": -1}, {"tokens": 0},
                                   {"garble": -0.1}, {"garble": 0.6}, {"phones": -1.0}])
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(InputError):
        Settings(**wrong)
