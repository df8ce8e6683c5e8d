"""A picture of speech: its waveform and its mel spectrogram over the same seconds."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np

from sparktts_ms.audio.mel import MelSpectrogram, hertz_to_mel
from sparktts_ms.errors import OutputError
from sparktts_ms.files import atomic_write

WIDTH, HEIGHT, DPI = 1200, 600, 100         # pixels; drawn at twice that, for sharp text on any screen
COLUMNS = 1600                              # of the spectrogram and of the waveform's outline
RANGE = 80.0                                # dB from the loudest spot down to the darkest colour
TITLE_WIDTH = 96                            # letters; a Chinese character counts as two

INK, QUIET_INK, RULE, WAVE = "#1f2933", "#66727f", "#dde3ea", "#3b6ea8"
# matplotlib's own font first; the others lend it Chinese characters, where one of them is installed.
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei",
         "WenQuanYi Micro Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Heiti SC", "Arial Unicode MS")


def draw(path: str | Path, samples: np.ndarray, sample_rate: int, title: str = "", overwrite: bool = False) -> Path:
    """Draw samples [N] as a PNG of 2400 x 1200 pixels at `path` and return the path.

    Needs matplotlib. Raises OutputError without it, for samples that are none or not finite, if the file exists (unless
    `overwrite`), and for whatever the file system refuses.
    """
    path = Path(path)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise OutputError("Pictures need matplotlib, which is not installed: pip install matplotlib") from None
    samples = np.asarray(samples, np.float64)
    if not samples.size or not np.isfinite(samples).all():
        raise OutputError(f"{path} was not drawn: there are no samples, or they contain NaN or infinity.")

    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=2 * DPI, facecolor="white")
    FigureCanvasAgg(figure)
    fonts = _installed_fonts()
    seconds = len(samples) / sample_rate
    wave = figure.add_axes((0.065, 0.66, 0.855, 0.235))
    sound = figure.add_axes((0.065, 0.105, 0.855, 0.515), sharex=wave)
    scale = figure.add_axes((0.935, 0.105, 0.012, 0.515))

    figure.text(0.065, 0.945, _fit_title(title, fonts), fontsize=12, color=INK, family=fonts, va="center", parse_math=False)
    figure.text(0.92, 0.945, f"{seconds:.2f} s · {sample_rate / 1000:g} kHz", fontsize=9, color=QUIET_INK, family=fonts,
                va="center", ha="right")
    _draw_wave(wave, samples, seconds)
    _draw_spectrogram(sound, scale, samples, sample_rate, seconds)
    for axes in (wave, sound, scale):
        _calm(axes, fonts)
    with atomic_write(path, overwrite) as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})
    return path


def _draw_wave(axes, samples: np.ndarray, seconds: float) -> None:
    columns = np.array_split(samples, min(COLUMNS, len(samples)))
    low, high = np.array([c.min() for c in columns]), np.array([c.max() for c in columns])
    times = (np.arange(len(columns)) + 0.5) * seconds / len(columns)
    limit = max(1.0, np.abs(samples).max())
    axes.fill_between(times, low, high, color=WAVE, linewidth=0.5)
    axes.set(xlim=(0, seconds), ylim=(-limit, limit), yticks=(-limit, 0, limit), ylabel="amplitude")
    axes.tick_params(labelbottom=False)
    axes.grid(True, color=RULE, linewidth=0.6)


def _draw_spectrogram(axes, scale, samples: np.ndarray, sample_rate: int, seconds: float) -> None:
    decibels = log_mel(samples, sample_rate)
    top = hertz_to_mel(sample_rate / 2)
    image = axes.imshow(decibels, origin="lower", aspect="auto", extent=(0, seconds, 0, top), cmap="magma",
                        vmin=-RANGE, vmax=0, interpolation="bilinear")
    kilohertz = [k for k in (0, 0.5, 1, 2, 4, 8, 16) if k * 2000 <= sample_rate]
    axes.set_yticks([hertz_to_mel(1000 * k) for k in kilohertz], [f"{k:g}" for k in kilohertz])
    axes.set(xlabel="seconds", ylabel="kHz (mel scale)")
    bar = axes.figure.colorbar(image, cax=scale, ticks=np.arange(-RANGE, 1, 20))
    bar.outline.set_visible(False)
    scale.set_title("dB", fontsize=9, color=QUIET_INK, pad=6)


def log_mel(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Samples [N] -> (96, frames) in dB below the loudest spot, at least -80; about 1600 frames whatever N."""
    window = max(64, round(0.032 * sample_rate))
    n_fft = 1 << (2 * window - 1).bit_length()
    mel = MelSpectrogram(sample_rate, n_fft, window, max(window // 8, len(samples) // COLUMNS), num_mels=96)
    magnitudes = mel(np.pad(samples, (0, max(0, n_fft - len(samples)))))
    loudest = max(magnitudes.max(), 1e-9)
    return np.maximum(20 * np.log10(np.maximum(magnitudes, 1e-12) / loudest), -RANGE)


def _calm(axes, fonts: list[str]) -> None:
    axes.tick_params(labelsize=9, labelcolor=QUIET_INK, color=RULE, length=3)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title, *axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_family(fonts)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(fontsize=9, color=QUIET_INK)


def _installed_fonts() -> list[str]:
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return [name for name in FONTS if name in installed]


def _fit_title(title: str, fonts: list[str]) -> str:
    """One line of at most TITLE_WIDTH, of the characters that the fonts have."""
    from matplotlib.font_manager import findfont, get_font

    known = set().union(*(get_font(findfont(name)).get_charmap() for name in fonts))
    letters = [c for c in " ".join(title.split()) if ord(c) in known]
    used = np.cumsum([2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in letters])
    if not letters or used[-1] <= TITLE_WIDTH:
        return "".join(letters)
    return "".join(letters[:int(np.searchsorted(used, TITLE_WIDTH))]).rstrip() + "…"
