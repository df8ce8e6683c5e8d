"""Plot of speech: its waveform and, over the same seconds, its mel spectrogram."""

import unicodedata
from pathlib import Path

import numpy as np

from sparktts_ms.audio.mel import MelSpectrogram, hertz_to_mel
from sparktts_ms.errors import OutputError
from sparktts_ms.files import atomic_write

SIZE = (12.0, 6.0)                  # inches, at 200 dpi
COLUMNS = 1600                      # of the spectrogram and of the outline of the waveform
DYNAMIC_RANGE = 80.0                # dB from the loudest to the darkest colour
MAX_TITLE_WIDTH = 96                # characters; a Chinese character counts as two
TEXT_COLOR = "#1f2933"
LABEL_COLOR = "#66727f"
GRID_COLOR = "#dde3ea"
WAVE_COLOR = "#3b6ea8"
# matplotlib's own font, and those that add Chinese characters where they are installed.
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC",
         "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Microsoft YaHei", "SimHei", "PingFang SC",
         "Heiti SC", "Arial Unicode MS")


def draw(path: str | Path, samples: np.ndarray, sample_rate: int, title: str = "",
         overwrite: bool = False) -> Path:
    """Draw samples [N] as a PNG of 2400 x 1200 pixels at `path` and return the path.

    Raises OutputError without matplotlib, for no samples or samples that are not finite, if the
    file exists (unless `overwrite`), and for whatever the file system refuses.
    """
    path = Path(path)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.font_manager import get_font_names
    except ImportError:
        raise OutputError("Plots need matplotlib.", "Install it: pip install matplotlib") from None
    samples = np.asarray(samples, np.float64)
    if not samples.size or not np.isfinite(samples).all():
        problem = "{subject} was not drawn: there are no samples, or they contain NaN or infinity."
        raise OutputError(problem, subject=path)

    figure = Figure(figsize=SIZE, dpi=200, facecolor="white")
    FigureCanvasAgg(figure)
    fonts = [font for font in FONTS if font in get_font_names()]
    seconds = len(samples) / sample_rate
    wave = figure.add_axes((0.065, 0.66, 0.855, 0.235))
    spectrogram = figure.add_axes((0.065, 0.105, 0.855, 0.515), sharex=wave)
    colorbar = figure.add_axes((0.935, 0.105, 0.012, 0.515))
    figure.text(0.065, 0.945, _fit_title(title, fonts), fontsize=12, color=TEXT_COLOR, va="center",
                family=fonts, parse_math=False)
    figure.text(0.92, 0.945, f"{seconds:.2f} s · {sample_rate / 1000:g} kHz", fontsize=9,
                color=LABEL_COLOR, va="center", ha="right", family=fonts)
    _draw_wave(wave, samples, seconds)
    _draw_spectrogram(spectrogram, colorbar, samples, sample_rate)
    for axes in (wave, spectrogram, colorbar):
        _style_axes(axes, fonts)
    with atomic_write(path, overwrite) as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})
    return path


def log_mel(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Samples [N] -> [96, frames] in dB of the loudest, at least -80; about 1600 frames."""
    window = max(64, round(0.032 * sample_rate))
    n_fft = 1 << (2 * window - 1).bit_length()
    hop = max(window // 8, len(samples) // COLUMNS)
    mel = MelSpectrogram(sample_rate, n_fft, window, hop, num_mels=96)
    magnitudes = mel(np.pad(samples, (0, max(0, n_fft - len(samples)))))
    loudest = max(magnitudes.max(), 1e-9)
    return np.maximum(20 * np.log10(np.maximum(magnitudes, 1e-12) / loudest), -DYNAMIC_RANGE)


def _draw_wave(axes, samples: np.ndarray, seconds: float) -> None:
    columns = np.array_split(samples, min(COLUMNS, len(samples)))
    low = [column.min() for column in columns]
    high = [column.max() for column in columns]
    times = (np.arange(len(columns)) + 0.5) * seconds / len(columns)
    limit = max(1.0, np.abs(samples).max())
    axes.fill_between(times, low, high, color=WAVE_COLOR, linewidth=0.5)
    axes.set(xlim=(0, seconds), ylim=(-limit, limit), yticks=(-limit, 0, limit), ylabel="amplitude")
    axes.tick_params(labelbottom=False)
    axes.grid(True, color=GRID_COLOR, linewidth=0.6)


def _draw_spectrogram(axes, colorbar, samples: np.ndarray, sample_rate: int) -> None:
    extent = (0, len(samples) / sample_rate, 0, hertz_to_mel(sample_rate / 2))
    image = axes.imshow(
        log_mel(samples, sample_rate), origin="lower", aspect="auto", extent=extent, cmap="magma",
        vmin=-DYNAMIC_RANGE, vmax=0, interpolation="bilinear")
    ticks = [khz for khz in (0, 0.5, 1, 2, 4, 8, 16) if khz * 2000 <= sample_rate]
    axes.set_yticks([hertz_to_mel(1000 * khz) for khz in ticks], [f"{khz:g}" for khz in ticks])
    axes.set(xlabel="seconds", ylabel="kHz (mel scale)")
    bar = axes.figure.colorbar(image, cax=colorbar, ticks=np.arange(-DYNAMIC_RANGE, 1, 20))
    bar.outline.set_visible(False)
    colorbar.set_title("dB", fontsize=9, color=LABEL_COLOR, pad=6)


def _style_axes(axes, fonts: list[str]) -> None:
    axes.tick_params(labelsize=9, labelcolor=LABEL_COLOR, color=GRID_COLOR, length=3)
    axes.spines[:].set_visible(False)
    for text in (axes.title, *axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_family(fonts)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(fontsize=9, color=LABEL_COLOR, family=fonts)


def _fit_title(title: str, fonts: list[str]) -> str:
    """One line of at most MAX_TITLE_WIDTH, of the characters that the fonts have."""
    from matplotlib.font_manager import findfont, get_font

    known = set().union(*(get_font(findfont(name)).get_charmap() for name in fonts))
    characters = [c for c in " ".join(title.split()) if ord(c) in known]
    widths = np.cumsum([2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in characters])
    if not characters or widths[-1] <= MAX_TITLE_WIDTH:
        return "".join(characters)
    return "".join(characters[:int(np.searchsorted(widths, MAX_TITLE_WIDTH))]).rstrip() + "…"
