"""Whether a transcript can be what a recording says, by the syllables a second."""

from __future__ import annotations

from pathlib import Path

from sparktts_ms.errors import AudioError, Notice
from sparktts_ms.text.syllables import count_syllables

# Syllables a second. People speak 3 to 7, fast ones 9; estimates are off by a third.
IMPOSSIBLE_RATE = 15.0      # of the whole recording
FAST_RATE = 9.0             # of its speech, as are the others
SLOW_RATE = 1.8
EMPTY_RATE = 0.25
MIN_SLOW_SECONDS = 2.0      # of speech; less may be one long vowel
MIN_EMPTY_SECONDS = 4.0


def check_transcript(path: str | Path, transcript: str, seconds: float,
                     speech_seconds: float) -> tuple[Notice, ...]:
    """Notices about a `transcript` that does not fit a recording of `seconds`, of which
    `speech_seconds` are speech (0: unknown).

    Raises AudioError ("transcript_mismatch") if nobody could say it in that time, or if it is only
    a few words of all that is said. A script whose syllables are not known is not judged.
    """
    syllables = count_syllables(transcript)
    if not syllables:
        return ()
    spoken = speech_seconds or seconds
    too_long = syllables > IMPOSSIBLE_RATE * seconds
    too_short = speech_seconds >= MIN_EMPTY_SECONDS and syllables < EMPTY_RATE * speech_seconds
    if too_long or too_short:
        problem = (f"The transcript, about {syllables:.0f} syllables, cannot be what {{subject}} "
                   f"says in {spoken:.1f} s.")
        raise AudioError(problem, "Correct the transcript, or leave it out.", subject=path,
                         code="transcript_mismatch")
    slow = speech_seconds >= MIN_SLOW_SECONDS and syllables < SLOW_RATE * speech_seconds
    if not slow and syllables <= FAST_RATE * max(spoken, 1.0):
        return ()
    length = "short" if slow else "long"
    text = (f"The transcript is too {length} for {{subject}}: {{rate:.1f}} syllables a second; "
            "it must be exactly what is said, or left out.")
    values = (("rate", round(syllables / spoken, 1)),)
    return (Notice(f"transcript_too_{length}", text, values),)
