"""From a recording to a Voice: level, mel spectrogram, wav2vec 2.0 and the codec's encoders."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sparktts_ms.audio.loudness import normalize_volume, reference_clip
from sparktts_ms.audio.mel import MelSpectrogram
from sparktts_ms.audio.recording import Recording, read_recording
from sparktts_ms.audio.voice_activity import FRAME, FRAME_SECONDS, SAMPLE_RATE
from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.config import ModelConfig
from sparktts_ms.errors import AudioError, Notice
from sparktts_ms.generation.transcript import check_transcript
from sparktts_ms.generation.voice_cache import VoiceCache
from sparktts_ms.runtime import Runtime
from sparktts_ms.voice import Voice
from sparktts_ms.wav2vec2.features import FeatureExtractor
from sparktts_ms.weights.checkpoint import open_weights

logger = logging.getLogger("sparktts_ms")

MAX_SECONDS = 30.0          # of a recording; attention over it grows with its square
ANALYZED_SECONDS = 10.0     # of speech, where only the voice is needed
MAX_TAIL_SECONDS = 1.5      # without speech at the end of what gives the voice
KEPT_TAIL_SECONDS = 0.3
CACHE_SIZE = 64             # voices


@dataclass(frozen=True)
class PromptRecording:
    """A recording that has been read, its transcript, and what is to be said about them."""

    recording: Recording
    transcript: str | None
    notices: tuple[Notice, ...]


class VoiceEncoder:
    """Encodes recordings, and remembers the latest voices by content; with `kept` also in a folder,
    for other processes."""

    def __init__(self, wav2vec2_file: Path, codec: BiCodec, config: ModelConfig, runtime: Runtime,
                 kept: VoiceCache | None = None):
        self.wav2vec2_file = wav2vec2_file
        self.codec = codec
        self.config = config
        self.runtime = runtime
        self.kept = kept
        self.mel = MelSpectrogram(**vars(config.bicodec.mel))
        self._features: FeatureExtractor | None = None
        self._cache: OrderedDict[tuple, Voice] = OrderedDict()

    def read(self, path: str | Path, transcript: str | None = None) -> PromptRecording:
        """Read a recording for `encode_recording`, in any thread. Raises AudioError."""
        audio = self.config.audio
        transcript = (transcript or "").strip() or None
        analyzed = MAX_SECONDS if transcript else ANALYZED_SECONDS
        recording = read_recording(path, audio.sample_rate, MAX_SECONDS, analyzed)
        notices = [*recording.notices]
        if recording.truncated and transcript:
            raise AudioError(
                f"{{subject}} goes on after {MAX_SECONDS:.0f} s of speech; with a transcript at "
                f"most {MAX_SECONDS:.0f} s can be used.",
                "Cut both, or leave out the transcript.", subject=path, code="recording_too_long")
        if recording.truncated:
            text = "{subject} goes on after {seconds:.0f} s; its first {used:.0f} s give the voice."
            values = (("seconds", MAX_SECONDS), ("used", float(audio.ref_segment_duration)))
            notices.append(Notice("recording_truncated", text, values))
        if transcript:
            seconds = len(recording.samples) / audio.sample_rate
            spoken = float(recording.speech.sum()) * FRAME_SECONDS
            notices += check_transcript(path, transcript, seconds, spoken)
        for notice in notices:
            logger.warning("%s", notice.message(path))
        return PromptRecording(recording, transcript, tuple(notices))

    def encode(self, path: str | Path, transcript: str | None = None) -> Voice:
        """See `SparkTTS.encode_voice`."""
        return self.encode_recording(self.read(path, transcript))

    def encode_recording(self, prompt: PromptRecording) -> Voice:
        """The voice of a recording that has been read."""
        digest = hashlib.sha256(prompt.recording.samples.tobytes()).digest()
        key = (digest, prompt.transcript, prompt.notices)
        if key not in self._cache:
            self._cache[key] = self._find_or_encode(prompt, digest)
        self._cache.move_to_end(key)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return self._cache[key]

    def tokenize(self, recording: Recording) -> tuple[np.ndarray, np.ndarray]:
        """Global ids [32] and semantic ids [T], 50 a second, of a whole recording. Raises
        AudioError for more than MAX_SECONDS."""
        seconds = len(recording.samples) / self.config.audio.sample_rate
        if seconds > MAX_SECONDS:
            raise AudioError(f"{{subject}} lasts {seconds:.1f} s; at most {MAX_SECONDS:.0f} s can "
                             "be encoded.", "Cut it.", subject="The recording",
                             code="recording_too_long")
        voice = self._encode(recording, "", ())
        return voice.global_ids, voice.semantic_ids

    def features(self, samples: np.ndarray) -> np.ndarray:
        """wav2vec 2.0 features [T, C] of samples [N] at 16 kHz; loads the network on first use."""
        if self._features is None:
            config = self.config.wav2vec2
            self._features = FeatureExtractor(self.wav2vec2_file, config, self.runtime)
        return self._features(samples)

    def release(self) -> None:
        """Free the networks, 0.9 GB at the released size; they are loaded again when needed."""
        self._features = None
        self.codec.release_encoders()
        self.runtime.release_memory()

    def _find_or_encode(self, prompt: PromptRecording, digest: bytes) -> Voice:
        """The voice from the folder, else encoded, and kept there."""
        recording, transcript, notices = prompt.recording, prompt.transcript, prompt.notices
        if self.kept is None:
            return self._encode(recording, transcript, notices)
        config = self.config
        end = _end_of_speech(recording, config.audio.reference_samples)
        settings: list[object] = [digest.hex(), end, transcript, config.audio, config.bicodec]
        sources = open_weights(self.codec.path).paths
        frames = 0
        if transcript is not None:
            settings.append(config.wav2vec2)
            sources = [*sources, *open_weights(self.wav2vec2_file).paths]
            frames = config.wav2vec2.frames(len(recording.samples))
        key = self.kept.key(sources, *settings)
        if key is None:
            return self._encode(recording, transcript, notices)
        voice = self.kept.read(key, config.bicodec, transcript, frames)
        if voice is None:
            voice = self._encode(recording, transcript, notices)
            self.kept.write(key, voice)
        return replace(voice, notices=notices)

    def _encode(self, recording: Recording, transcript: str | None,
                notices: tuple[Notice, ...]) -> Voice:
        samples = recording.samples
        if self.config.audio.volume_normalize:
            samples = normalize_volume(samples)
        length = self.config.audio.reference_samples
        clip = samples[:_end_of_speech(recording, length)]
        clip = reference_clip(clip, length).astype(np.float32)
        global_ids = self.codec.encode_speaker(self.mel(clip))
        self._release_if_low()
        if transcript is None:
            return Voice(global_ids, notices=notices)
        features = self.features(samples)
        self._release_if_low()
        semantic_ids = self.codec.encode_semantic(features)
        self._release_if_low()
        return Voice(global_ids, semantic_ids, transcript, notices)

    def _release_if_low(self) -> None:
        if self.runtime.low_memory:
            self.release()


def _end_of_speech(recording: Recording, length: int) -> int:
    """How many of the first `length` samples give the voice: all, unless more than a second and a
    half at their end hold no speech."""
    spoken = np.flatnonzero(recording.speech[:length // FRAME])
    if not len(spoken):
        return length
    end = (int(spoken[-1]) + 1) * FRAME
    if min(length, len(recording.samples)) - end > MAX_TAIL_SECONDS * SAMPLE_RATE:
        return end + int(KEPT_TAIL_SECONDS * SAMPLE_RATE)
    return length
