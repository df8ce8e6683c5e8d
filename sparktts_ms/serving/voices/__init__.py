"""Voices by name, and the folder in which they are saved."""
