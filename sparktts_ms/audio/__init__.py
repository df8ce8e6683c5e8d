"""Recordings and waveforms in NumPy: files, level, mel spectrogram, pitch, speed, plots."""
