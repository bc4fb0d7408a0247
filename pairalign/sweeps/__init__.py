"""Sweeps: how the string of a recording moves while the audio changes step by step."""
