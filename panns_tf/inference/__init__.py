"""Inference: labels, events and embeddings of recordings and streams."""
