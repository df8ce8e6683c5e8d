"""Text front end: numbers and symbols in words, long texts in segments, syllable counts."""
