"""Voices that have a name everywhere: generated once, from attributes and a seed."""

from collections.abc import Mapping

from sparktts_ms.generation.attributes import VoiceDescription

# Gender and height follow what OpenAI's voices of these names sound like; the seeds are arbitrary.
BUILT_IN_VOICES: Mapping[str, VoiceDescription] = {
    "female": VoiceDescription("female", seed=1),
    "male": VoiceDescription("male", seed=2),
    "alloy": VoiceDescription("female", "low", seed=11),
    "ash": VoiceDescription("male", seed=12),
    "ballad": VoiceDescription("male", "high", seed=13),
    "coral": VoiceDescription("female", "high", seed=14),
    "echo": VoiceDescription("male", seed=15),
    "fable": VoiceDescription("male", "high", seed=16),
    "onyx": VoiceDescription("male", "low", seed=17),
    "nova": VoiceDescription("female", seed=18),
    "sage": VoiceDescription("female", seed=19),
    "shimmer": VoiceDescription("female", "high", seed=20),
    "verse": VoiceDescription("male", seed=21),
    "marin": VoiceDescription("female", seed=22),
    "cedar": VoiceDescription("male", "low", seed=23),
}
