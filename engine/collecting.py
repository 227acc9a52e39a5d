"""The garbage collector waits while everything is read back from a backend."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collecting() -> Iterator[None]:
    """Within this block no cycles are collected, if that was to be done at all.

    For making very many objects that stay: the collector would walk through all of them again and
    again, and find nothing.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
