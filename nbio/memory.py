"""How much freed memory a serving process keeps: glibc's malloc, told once at the start.

malloc gives the end of its heap back to the kernel when more than a threshold of it is free, and
takes it from the kernel again, page by page and zeroed, for the next large body. The thresholds
rise by themselves, after the first large chunk was freed, to that chunk's size and twice that
size; so the same upload may or may not meet them, which is a fault for each 4 KiB, or none.
"""

import ctypes
from collections.abc import Mapping
from typing import Final

# From glibc's <malloc.h>.
TRIM_THRESHOLD: Final = -1
MMAP_THRESHOLD: Final = -3

MMAP_MOST: Final = 32 << 20
"""What is larger has pages of its own, which go when it is freed. glibc takes no more than this."""

TRIM_MOST: Final = (1 << 31) - 1
"""mallopt takes an int."""

TOLD: Final = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")


def keep_freed(size: int, environ: Mapping[str, str]) -> bool:
    """Have malloc keep up to `size` bytes at the end of its heap; return whether it does.

    It doesn't where malloc isn't glibc's, where the environment tunes it already, and for a
    `size` of 0, which leaves it as it is. Both thresholds are set, since setting either ends
    malloc's own adjustment of both.
    """
    tuned = any(name in environ for name in TOLD)
    if not size or tuned or "glibc.malloc" in environ.get("GLIBC_TUNABLES", ""):
        return False
    try:
        libc = ctypes.CDLL(None)
        # Of glibc only; others may have a mallopt that knows none of this, or numbers of its own.
        libc.gnu_get_libc_version  # noqa: B018 (asked for its presence)
        mallopt = libc.mallopt
    except (AttributeError, OSError, TypeError):
        return False
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    chosen = ((MMAP_THRESHOLD, min(size, MMAP_MOST)), (TRIM_THRESHOLD, min(size, TRIM_MOST)))
    return all(mallopt(name, value) for name, value in chosen)
