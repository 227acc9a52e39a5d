"""What runs inside a child process: it reads calls from its parent, runs them one by one, and answers.

Heard:  CALL       sys.path, sys.argv, where the parent's script is, the function's name, whether it reports
        ARGUMENTS  args and kwargs
Said:   PROGRESS   the fields that changed since the last one
        RESULT     what the function returned
        FAILED     the exception where it can travel; its type's name, text and traceback in any case

A frame is one byte of kind, eight of length, and a pickle. The file is run by its path and stands
alone on the standard library, so that a child costs the start of an interpreter and not the import
of this package. The parent imports it for the shape of the wire.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import importlib.util
import io
import os
import pickle  # noqa: S403  the wire is a private socket pair between a process and its own child
import signal
import struct
import sys
import threading
import time
import types
from collections.abc import Buffer, Callable  # type: ignore[attr-defined,unused-ignore]
from typing import Any, Final, TypeAlias
