"""Prompts by which the language model's weights are rounded to 4 bits.

The ids of speech are random, since those of a model's own speech are known only after it has
spoken; texts and marks are as in use. On the demonstration model speech of its own would leave a
sixth less divergence, and random ids without texts twice as much.
"""

from __future__ import annotations

import numpy as np

from sparktts_ms.generation.attributes import Style
from sparktts_ms.generation.prompt import clone_prompt, style_prompt
from sparktts_ms.generation.vocabulary import Vocabulary

TEXTS = (
    "The old captain found a green lamp near the river in the evening.",
    "Where did the young doctor leave her umbrella and the two letters?",
    "Please bring forty-five small boxes to the station before Monday.",
    "Rain fell softly on the roofs, and nobody in the village could sleep.",
    "今天下午我们一起去公园散步，然后在河边喝茶。",
    "请把这封信交给王老师，她明天早上八点到学校。",
    "His brother bought a quiet horse, but he never learned to ride it.",
    "这本书讲的是一个小城里发生的故事，非常有意思。",
)
SPEECH = 160        # semantic ids of each prompt
VOICE = 32          # global ids


def calibration_prompts(vocabulary: Vocabulary) -> list[np.ndarray]:
    """The ids of eight prompts, [T] each: half in a known voice, half in one that is described."""
    v = vocabulary
    random = np.random.default_rng(0)
    prompts = []
    for n, text in enumerate(TEXTS):
        voice = random.integers(0, v.bicodec_global.count, VOICE)
        if n % 2 == 0:
            prompt = clone_prompt(v, text, voice)
            generated = [v.start_semantic_token]
        else:
            prompt = style_prompt(v, text, Style("female" if n % 4 == 1 else "male"))
            pitch = v.pitch_value[random.integers(0, v.pitch_value.count)]
            speed = v.speed_value[random.integers(0, v.speed_value.count)]
            generated = [v.start_acoustic_token, pitch, speed, v.end_acoustic_token,
                         v.start_global_token, *(v.bicodec_global[n] for n in voice),
                         v.end_global_token, v.start_semantic_token]
        speech = v.bicodec_semantic.first + random.integers(0, v.bicodec_semantic.count, SPEECH)
        prompts.append(np.concatenate([prompt, generated, speech]))
    return prompts
