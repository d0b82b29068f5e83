"""How TensorFlow takes memory on a CPU."""

import ctypes
import os
from pathlib import Path

#: glibc's `mallopt` options, and what they are set to, in bytes but for the last. Blocks of 8 MB,
#: maps and kernels, go back to the system when they are freed; smaller ones share one arena.
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX = -3, -1, -8
_SETTINGS = ((_MMAP_THRESHOLD, 8_000_000), (_TRIM_THRESHOLD, 100_000_000), (_ARENA_MAX, 1))


def spare_memory() -> bool:
    """Has TensorFlow take memory from the C library, and that give it back.

    The allocator that comes with oneDNN keeps what it once had, in pieces: a fifth more memory
    than Cnn14's training needs, for a twentieth of its time. Must come before TensorFlow is
    imported; does nothing on machines with a GPU, nor where the C library is not glibc.

    Returns:
        Whether it did anything.
    """
    if Path("/proc/driver/nvidia").exists():
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
    return all(mallopt(option, value) for option, value in _SETTINGS)
