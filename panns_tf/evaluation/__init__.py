"""Evaluation of trained networks: scores, metrics with their intervals, reports, comparisons."""
