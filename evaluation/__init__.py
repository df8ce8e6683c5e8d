"""Objective quality of synthesized speech: `python -m evaluation`."""
