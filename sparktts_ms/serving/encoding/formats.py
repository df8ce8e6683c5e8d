"""The formats that speech is sent in, by the names of OpenAI's `response_format`."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field

from sparktts_ms.errors import InputError, quoted

MIN_SAMPLE_RATE = 8000
MAX_SAMPLE_RATE = 48000
PCM_SAMPLE_RATE = 24000         # OpenAI's, which players assume: pcm has no header that says it
PAGE_DURATION = "20000"         # microseconds of an Ogg page: one packet

MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


@dataclass(frozen=True)
class AudioFormat:
    """How FFmpeg, or libsndfile in its absence, writes one format.

    media_type: of the response. rates: sample rates in Hz that it can hold; any if empty.
    codec, codec_options, bit_rate, sample_format: FFmpeg's encoder. container, container_options,
    stream_options: its muxer; the last where no length is known. libsndfile: format and subtype,
    where it can write a stream.
    """

    media_type: str
    rates: tuple[int, ...] = ()
    codec: str = ""
    codec_options: Mapping[str, str] = field(default_factory=dict)
    bit_rate: int | None = None             # bits a second, or 4 a sample if that is less
    sample_format: str = "s16"
    container: str = ""
    container_options: Mapping[str, str] = field(default_factory=dict)
    stream_options: Mapping[str, str] = field(default_factory=dict)
    libsndfile: tuple[str, str] | None = None

    def sample_rate(self, wanted: int) -> int:
        """The lowest rate in Hz that it can hold and that loses nothing of what `wanted` can."""
        return min((rate for rate in self.rates if rate >= wanted), default=wanted)


# Options are chosen by cost and signal-to-noise ratio, see docs/dependencies.md. Without a bit
# reservoir each frame of mp3 is complete, and a stream can begin with any. The "fast" coder
# of aac damages loud vowels.
FORMATS = {
    "mp3": AudioFormat("audio/mpeg", MPEG_RATES, "libmp3lame",
                       {"reservoir": "0", "compression_level": "7"}, 128000, "fltp",
                       "mp3", {"id3v2_version": "0"}, {"write_xing": "0"}),
    "opus": AudioFormat("audio/ogg", OPUS_RATES, "libopus", {"compression_level": "3"}, 48000,
                        "flt", "ogg", {}, {"page_duration": PAGE_DURATION},
                        libsndfile=("OGG", "OPUS")),
    "aac": AudioFormat("audio/aac", MPEG_RATES, "aac", {"aac_pns": "0", "aac_tns": "0"}, 128000,
                       "fltp", "adts"),
    "flac": AudioFormat("audio/flac", (), "flac", {}, None, "s16",
                        "flac", {"metadata_header_padding": "0"}, libsndfile=("FLAC", "PCM_16")),
    "wav": AudioFormat("audio/wav"),
    "pcm": AudioFormat("audio/pcm"),
}


def has_pyav() -> bool:
    """Whether PyAV is installed."""
    return importlib.util.find_spec("av") is not None


def find_format(name: object) -> AudioFormat:
    """The format of a name. InputError: "unknown_format"; "needs_pyav" without it."""
    known = FORMATS.get(name) if isinstance(name, str) else None
    if known is None:
        raise InputError(f"{quoted(name)} is not a format of sound that can be sent.",
                         f"Use {_either(list(FORMATS))}.", code="unknown_format")
    if known.codec and not known.libsndfile and not has_pyav():
        others = [other for other, form in FORMATS.items() if form.libsndfile or not form.codec]
        raise InputError(f"{name} is written by PyAV, which is not installed on this server.",
                         f"Use {_either(others)}, or install the package \"av\" there.",
                         code="needs_pyav")
    return known


def _either(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
