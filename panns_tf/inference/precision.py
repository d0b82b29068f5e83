"""Networks in the arithmetic that they are to compute in."""

from pathlib import Path

import keras
import tensorflow as tf

from panns_tf.models import Network

#: By the names that commands use.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def in_precision(network: Network, precision: str = "float32") -> Network:
    """Returns the network itself if it computes in a precision, else a copy that does.

    In bfloat16 the log-mel, ``bn0``, the first convolution on sound and the last layer stay
    float32.

    Args:
        network: from `panns_tf.create_model`.
        precision: ``"float32"`` or ``"bfloat16"``.

    Raises:
        ValueError: for another precision, or one that this machine only imitates, slowly.
    """
    if precision not in POLICIES:
        raise ValueError(f"precision must be one of {tuple(POLICIES)}; received {precision!r}")
    if precision == "bfloat16" and not has_bfloat16():
        raise ValueError(
            "--precision bfloat16: neither this processor (avx512_bf16, amx_bf16) nor a GPU here "
            "computes in it; use float32"
        )
    policy = POLICIES[precision]
    wanted = {"mixed_bfloat16": "bfloat16"}.get(policy, policy)
    dtypes = {layer.compute_dtype for layer in network.layers}
    if wanted in dtypes and dtypes <= {wanted, "float32"}:
        return network
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        copy = Network.from_config(network.get_config())
    finally:
        keras.config.set_dtype_policy(before)
    copy.set_weights(network.get_weights())
    return copy


def has_bfloat16() -> bool:
    """Says whether a GPU is there, or a processor with instructions for bfloat16."""
    if tf.config.list_physical_devices("GPU"):
        return True
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
