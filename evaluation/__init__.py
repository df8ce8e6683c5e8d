"""Judging speech by numbers: what a recogniser understands, who speaks, how high and how fast. `python -m evaluation`."""
