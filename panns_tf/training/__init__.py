"""Training, its saved state, and evaluation."""
