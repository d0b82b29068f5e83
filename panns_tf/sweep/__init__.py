"""Ablations: grids of trainings with several seeds, and the table of their results."""
