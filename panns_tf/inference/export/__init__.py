"""Networks as files that other programs run."""

from panns_tf.inference.export.saved_model import (
    DESCRIPTION,
    describe,
    export_saved_model,
    in_float32,
)

__all__ = ["DESCRIPTION", "describe", "export_saved_model", "in_float32"]
