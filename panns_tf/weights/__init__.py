"""Weights: state dicts of PyTorch both ways, published checkpoints, and what loads them."""
