"""Ablations: a grid of settings, a run for every cell and seed, and the table."""
