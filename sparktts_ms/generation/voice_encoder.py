"""From a recording to a Voice: level, mel spectrogram, wav2vec 2.0 and the codec's encoders."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from pathlib import Path

import numpy as np

from sparktts_ms.audio.loudness import normalize_volume, reference_clip
from sparktts_ms.audio.mel import MelSpectrogram
from sparktts_ms.audio.recording import read_recording
from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.config import ModelConfig
from sparktts_ms.errors import AudioError
from sparktts_ms.runtime import Runtime
from sparktts_ms.voice import Voice
from sparktts_ms.wav2vec2.features import FeatureExtractor

logger = logging.getLogger("sparktts_ms")

MAX_SECONDS = 30.0          # of a recording; attention over it grows with its square
CACHE_SIZE = 64             # voices


class VoiceEncoder:
    """Encodes recordings, and remembers the latest voices by content."""

    def __init__(self, wav2vec2_file: Path, codec: BiCodec, config: ModelConfig, runtime: Runtime):
        self.wav2vec2_file = wav2vec2_file
        self.codec = codec
        self.config = config
        self.runtime = runtime
        self.mel = MelSpectrogram(**vars(config.bicodec.mel))
        self._features: FeatureExtractor | None = None
        self._cache: OrderedDict[tuple[bytes, str | None], Voice] = OrderedDict()

    def encode(self, path: str | Path, transcript: str | None = None) -> Voice:
        """See `SparkTTS.encode_voice`."""
        audio = self.config.audio
        recording = read_recording(path, audio.sample_rate, MAX_SECONDS)
        transcript = (transcript or "").strip() or None
        if recording.truncated and transcript:
            raise AudioError(
                f"{{subject}} lasts {recording.source_seconds:.1f} s; with a transcript at most "
                f"{MAX_SECONDS:.0f} s can be used.",
                "Cut both, or leave out the transcript.", subject=path, code="recording_too_long")
        if recording.truncated:
            logger.warning("%s lasts %.1f s; its first %.0f s are read, and %.0f s give the voice.",
                           path, recording.source_seconds, MAX_SECONDS, audio.ref_segment_duration)
        key = (hashlib.sha256(recording.samples.tobytes()).digest(), transcript)
        if key not in self._cache:
            self._cache[key] = self._encode(recording.samples, transcript)
        self._cache.move_to_end(key)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return self._cache[key]

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

    def _encode(self, samples: np.ndarray, transcript: str | None) -> Voice:
        if self.config.audio.volume_normalize:
            samples = normalize_volume(samples)
        clip = reference_clip(samples, self.config.audio.reference_samples).astype(np.float32)
        global_ids = self.codec.encode_speaker(self.mel(clip))
        if transcript is None:
            return Voice(global_ids)
        return Voice(global_ids, self.codec.encode_semantic(self.features(samples)), transcript)
