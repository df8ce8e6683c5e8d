"""Samples as the bytes of a sound file, piece by piece: mp3, opus, aac, flac, wav, pcm."""
