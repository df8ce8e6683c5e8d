"""The process that runs MindSpore ONE's networks on the stand-in for CANN.

    python -m tools.ascend_peer_worker

See tools/ascend_worker.py for its requests and answers. Weights are random: no figure depends on
them.
"""

from __future__ import annotations

import argparse

import numpy as np

from tools.ascend_worker import POSITION, Step, serve

# Qwen2.5-0.5B with the vocabulary of Spark-TTS; the sizes of wav2vec2-large-xlsr-53.
QWEN2 = {
    "vocab_size": 166_000, "hidden_size": 896, "intermediate_size": 4864,
    "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
    "max_position_embeddings": 32_768, "rope_theta": 1_000_000.0, "tie_word_embeddings": True,
    "use_sliding_window": False}
WAV2VEC2 = {
    "hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096,
    "num_hidden_layers": 24, "feat_extract_norm": "layer", "do_stable_layer_norm": True,
    "conv_bias": True, "output_hidden_states": True}
MIXED_LAYERS = (11, 14, 16)
SAMPLES = 40_000            # 2.5 s


def language_model(attention: str, dtype_name: str):
    import mindspore
    from mindone.transformers import Qwen2ForCausalLM
    from transformers import Qwen2Config

    config = Qwen2Config(**QWEN2, attn_implementation=attention)
    model = Qwen2ForCausalLM(config).set_train(False)
    return model.to(getattr(mindspore, dtype_name))


def example_step() -> Step:
    """The call of its Spark-TTS example: all positions again for each token."""
    import mindspore

    model = language_model("eager", "float32")
    ids = mindspore.Tensor(np.arange(POSITION + 1)[None])
    mask = mindspore.Tensor(np.ones((1, POSITION + 1), np.int64))

    def step(n: int) -> None:
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False, return_dict=False)[0]
        logits[:, -1].asnumpy()

    return step


def best_step() -> Step:
    """A cache and fused attention: the best setting that runs."""
    import mindspore
    from mindone.transformers.cache_utils import DynamicCache

    model = language_model("flash_attention_2", "bfloat16")
    shape = (1, QWEN2["num_key_value_heads"], POSITION, 64)
    cache = DynamicCache(config=model.config)
    for layer in range(QWEN2["num_hidden_layers"]):
        keys = mindspore.Tensor(np.zeros(shape, np.float32), mindspore.bfloat16)
        cache.update(keys, keys, layer)

    def step(n: int) -> None:
        length = POSITION + n
        ids = mindspore.Tensor(np.array([[5]]))
        mask = mindspore.Tensor(np.ones((1, length + 1), np.int64))
        positions = mindspore.Tensor(np.array([length]))
        logits = model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True,
                       cache_position=positions, return_dict=False)[0]
        logits[:, -1].float().asnumpy()

    return step


def wav2vec2() -> Step:
    """wav2vec 2.0 as its Spark-TTS example calls it: 24 layers, of which it uses 16."""
    import mindspore
    from mindone.transformers import Wav2Vec2Model
    from transformers import Wav2Vec2Config

    model = Wav2Vec2Model(Wav2Vec2Config(**WAV2VEC2)).set_train(False)
    samples = np.random.default_rng(0).standard_normal((1, SAMPLES)).astype(np.float32)

    def step(n: int) -> None:
        states = model(mindspore.Tensor(samples)).hidden_states
        total = states[MIXED_LAYERS[0]] + states[MIXED_LAYERS[1]] + states[MIXED_LAYERS[2]]
        (total / len(MIXED_LAYERS)).asnumpy()

    return step


SECTIONS = {"example_step": example_step, "best_step": best_step, "wav2vec2": wav2vec2}


def main() -> None:
    import mindspore

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocking", action="store_true", help="launch one after the other")
    args = parser.parse_args()
    mindspore.set_device("Ascend")
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    if args.blocking:
        mindspore.runtime.launch_blocking()
    serve(lambda section: SECTIONS[section](), mindspore.runtime.synchronize)


if __name__ == "__main__":
    main()
