"""Networks as files that other programs run: SavedModel, ONNX and LiteRT."""
