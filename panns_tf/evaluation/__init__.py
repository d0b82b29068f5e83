"""Evaluation of trained networks: scores, figures with their intervals, pages to read them on."""
