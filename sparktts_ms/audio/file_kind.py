"""The kind of a sound or video file by its first bytes, whatever its name says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FileKind:
    """name: for messages, with its article. suffix: the usual one of such files.

    sndfile: whether libsndfile reads it. demuxer: FFmpeg's name of the format; None if it has none
    that is allowed here.
    """

    name: str
    suffix: str
    sndfile: bool = False
    demuxer: str | None = None


WAV = FileKind("a WAV file", "wav", True, "wav")
W64 = FileKind("a Wave64 file", "w64", True, "w64")
FLAC = FileKind("a FLAC file", "flac", True, "flac")
OGG = FileKind("an Ogg file", "ogg", True, "ogg")
MP3 = FileKind("an MP3 file", "mp3", True, "mp3")
AIFF = FileKind("an AIFF file", "aiff", True, "aiff")
AU = FileKind("an AU file", "au", True, "au")
CAF = FileKind("a CAF file", "caf", True, "caf")
MP4 = FileKind("an MP4, M4A or MOV file", "m4a", demuxer="mov")
AAC = FileKind("an AAC file", "aac", demuxer="aac")
MATROSKA = FileKind("a WebM or Matroska file", "webm", demuxer="matroska")
IFF = FileKind("an IFF file", "iff")

# First bytes, and what they are the beginning of. Longer ones come before shorter ones.
SIGNATURES: tuple[tuple[bytes, FileKind], ...] = (
    (b"riff\x2e\x91\xcf\x11", W64),
    (b"fLaC", FLAC),
    (b"OggS", OGG),
    (b".snd", AU),
    (b"caff", CAF),
    (b"\x1a\x45\xdf\xa3", MATROSKA),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", FileKind("a WMA or ASF file", "wma", demuxer="asf")),
    (b"#!AMR", FileKind("an AMR file", "amr", demuxer="amr")),
    (b"wvpk", FileKind("a WavPack file", "wv", demuxer="wv")),
    (b"MAC ", FileKind("a Monkey's Audio file", "ape", demuxer="ape")),
    (b"TTA1", FileKind("a True Audio file", "tta", demuxer="tta")),
    (b"FLV\x01", FileKind("a Flash video", "flv", demuxer="flv")),
    (b"\x00\x00\x01\xba", FileKind("an MPEG video", "mpg", demuxer="mpeg")),
    (b"\x0b\x77", FileKind("an AC-3 file", "ac3", demuxer="ac3")),
    (b"DSD ", FileKind("a DSF file", "dsf", demuxer="dsf")),
    (b"#!SILK_V3", FileKind("a SILK voice message", "silk")),
    (b"\x02#!SILK_V3", FileKind("a SILK voice message", "silk")),
    (b"Creative Voice File", FileKind("a Creative VOC file", "voc")),
    (b"NIST_1A", FileKind("a NIST SPHERE file", "sph")),
    (b" paf", FileKind("an Ensoniq PARIS file", "paf")),
    (b"fap ", FileKind("an Ensoniq PARIS file", "paf")),
    (b"PVF1", FileKind("a Portable Voice file", "pvf")),
    (b"\x64\xa3", FileKind("an IRCAM file", "sf")),
    (b"2BIT", FileKind("an Audio Visual Research file", "avr")),
    (b"MATLAB", FileKind("a MATLAB file", "mat")),
    (b"Extended Instrument", FileKind("a FastTracker instrument", "xi")),
    (b"\xf0\x7e", FileKind("a MIDI sample dump", "sds")),
    (b"ALawSoundFile**", FileKind("a Psion WVE file", "wve")),
    (b"\x01\x04", FileKind("an Akai MPC file", "snd")),
    (b".RMF", FileKind("a RealMedia file", "rm")),
    (b"MThd", FileKind("a MIDI file, notes without sound", "mid")),
)
# Types of the first box of an MP4 or QuickTime file, behind its size.
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
TRANSPORT_PACKET = 188          # bytes
HEAD_BYTES = 4096               # that `file_kind` looks at


def file_kind(head: bytes, after_id3: bytes | None = None) -> FileKind | None:
    """The kind of a file that begins with `head`; None if it is unknown.

    after_id3: what follows an ID3 tag at the beginning, see `id3_size`.
    """
    if after_id3 is not None:
        return FLAC if after_id3.startswith(b"fLaC") else _mpeg_kind(after_id3) or MP3
    form = head[8:12]
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        avi = FileKind("an AVI video", "avi", demuxer="avi")
        return {b"WAVE": WAV, b"AVI ": avi}.get(form)
    if head[:4] == b"FORM":
        return AIFF if form in (b"AIFF", b"AIFC") else IFF
    if head[4:8] in MP4_BOXES:
        return MP4
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:1] == b"G" and head[TRANSPORT_PACKET:TRANSPORT_PACKET + 1] == b"G":
        return FileKind("an MPEG transport stream", "ts", demuxer="mpegts")
    return _mpeg_kind(head)


def id3_size(head: bytes) -> int:
    """Bytes of the ID3v2 tag at the beginning of a file; 0 if there is none."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return size + 10


def _mpeg_kind(head: bytes) -> FileKind | None:
    """MP3 or AAC by the header of a frame: eleven bits set, and the layer, which AAC has not."""
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer = head[1] >> 1 & 3
    if layer == 0:
        return AAC if head[1] & 0xF0 == 0xF0 else None
    valid = head[1] & 0x18 != 0x08 and head[2] & 0xF0 != 0xF0 and head[2] & 0x0C != 0x0C
    return MP3 if valid else None
