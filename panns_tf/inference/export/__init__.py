"""Networks as files that other programs run."""

from panns_tf.inference.export.check import check_export
from panns_tf.inference.export.litert_file import export_litert
from panns_tf.inference.export.onnx_file import export_onnx
from panns_tf.inference.export.precision import PRECISIONS
from panns_tf.inference.export.runtimes import open_exported
from panns_tf.inference.export.saved_model import (
    DESCRIPTION,
    describe,
    export_saved_model,
    in_float32,
)

__all__ = [
    "DESCRIPTION",
    "PRECISIONS",
    "check_export",
    "describe",
    "export_litert",
    "export_onnx",
    "export_saved_model",
    "in_float32",
    "open_exported",
]
