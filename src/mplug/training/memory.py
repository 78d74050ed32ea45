"""Memory that a step frees stays with the process for the next one."""

import ctypes

# The C library's names for these settings (malloc.h).
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
NEVER_TRIM = -1
# Bytes. Larger ones (gradients of word embeddings, a queue's copy) are given back: they fit into no
# gap between others, and would make the process grow.
LARGEST_BLOCK = 64 << 20


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, for the whole process; whether it can (glibc).

    A training step frees gigabytes and asks for as many again. Given back to the system in
    between, every page of them is cleared and mapped anew: on CPUs element-wise work then takes
    several times as long as its arithmetic.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    kept = set_option(MMAP_THRESHOLD, LARGEST_BLOCK) and set_option(TRIM_THRESHOLD, NEVER_TRIM)
    return bool(kept)
