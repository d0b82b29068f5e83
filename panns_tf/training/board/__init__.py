"""What TensorBoard shows of a run besides its numbers."""

from panns_tf.training.board.board import Board

__all__ = ["Board"]
