"""Notices when a task's own code asks the world outside: clocks, threads, processes, chance.

While a body runs, the interpreter tells us of every call (sys.setprofile), so that it does not
matter how the function was imported. The call fails on the spot, and the harness fails too, even
if the body swallows the error.
"""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import datetime
import functools
import multiprocessing.process
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Any, TypeVar

import anyio
import anyio.to_process
import anyio.to_thread

from .errors import NotDeterministic

T = TypeVar("T")

_CLOCK = "ctx.clock.now() for the time of day, anyio.current_time() for durations"
_SLEEP = "anyio.sleep, whose time is the harness's"
_THREAD = "ctx.offload, which the harness runs inline"
_PROCESS = "ctx.run_in_child, which the harness runs inline"
_CHANCE = "ctx.random"


class RunningBody:
    """One attempt's body while it runs, for whatever runs in its context, children among it."""

    def __init__(self, task_id: str, task_type: str, attempt: int) -> None:
        self.task_id = task_id
        self.task_type = task_type
        self.attempt = attempt
        self.steps = 0
        self.coroutine: Any = None  # where it runs in the event loop
        self.on_step: Callable[[RunningBody], None] | None = None

    def step(self) -> None:
        """It, or a coroutine that it started, goes on."""
        self.steps += 1
        if self.on_step is not None:
            self.on_step(self)


BODY: ContextVar[RunningBody | None] = ContextVar("cortex_tasks_body", default=None)


def _builtins() -> dict[Any, tuple[str, str]]:
    """Functions written in C: what they are called, and what to use instead."""
    clocks = "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns".split()
    clocks += "process_time process_time_ns thread_time thread_time_ns".split()
    clocks += "clock_gettime clock_gettime_ns".split()
    found = {
        getattr(time, name): (f"time.{name}", _CLOCK) for name in clocks if hasattr(time, name)
    }
    # Not time.localtime, gmtime, ctime and strftime: given a time they ask nobody, and whether they
    # are given one cannot be seen from here.
    found[time.sleep] = "time.sleep", _SLEEP
    found[datetime.datetime.now] = "datetime.now", _CLOCK
    found[datetime.datetime.utcnow] = "datetime.utcnow", _CLOCK
    found[datetime.datetime.today] = "datetime.today", _CLOCK
    found[datetime.date.today] = "date.today", _CLOCK
    found[os.times] = "os.times", _CLOCK
    found[os.urandom] = "os.urandom", _CHANCE
    if hasattr(os, "getrandom"):
        found[os.getrandom] = "os.getrandom", _CHANCE
    made_of_time = getattr(uuid, "_generate_time_safe", None)  # without it uuid1 asks time_ns
    if made_of_time is not None:
        found[made_of_time] = "uuid.uuid1", _CHANCE
    found[_thread.start_new_thread] = "_thread.start_new_thread", _THREAD
    for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system"):
        if hasattr(os, name):
            found[getattr(os, name)] = f"os.{name}", _PROCESS
    return found


def _functions() -> dict[CodeType, tuple[str, str]]:
    """Functions written in Python, by their code."""
    named: dict[Any, tuple[str, str]] = {
        anyio.to_thread.run_sync: ("anyio.to_thread.run_sync", _THREAD),
        asyncio.to_thread: ("asyncio.to_thread", _THREAD),
        asyncio.BaseEventLoop.run_in_executor: ("loop.run_in_executor", _THREAD),
        concurrent.futures.ThreadPoolExecutor.submit: ("ThreadPoolExecutor.submit", _THREAD),
        threading.Thread.start: ("threading.Thread.start", _THREAD),
        anyio.to_process.run_sync: ("anyio.to_process.run_sync", _PROCESS),
        anyio.run_process: ("anyio.run_process", _PROCESS),
        anyio.open_process: ("anyio.open_process", _PROCESS),
        asyncio.create_subprocess_exec: ("asyncio.create_subprocess_exec", _PROCESS),
        asyncio.create_subprocess_shell: ("asyncio.create_subprocess_shell", _PROCESS),
        concurrent.futures.ProcessPoolExecutor.submit: ("ProcessPoolExecutor.submit", _PROCESS),
        multiprocessing.process.BaseProcess.start: ("multiprocessing.Process.start", _PROCESS),
        subprocess.Popen.__init__: ("subprocess.Popen", _PROCESS),
    }
    trio = sys.modules.get("trio")
    if trio is not None:
        named[trio.to_thread.run_sync] = "trio.to_thread.run_sync", _THREAD
        named[trio.run_process] = "trio.run_process", _PROCESS
        named[trio.lowlevel.open_process] = "trio.lowlevel.open_process", _PROCESS
    return {function.__code__: words for function, words in named.items()}


# Those that may look at a clock: nothing in a task depends on what they see.
_TRUSTED = frozenset(
    "anyio asyncio coverage cortex_tasks hypothesis importlib linecache logging pytest _pytest "
    "sysconfig traceback trio warnings".split()
)


class Watch:
    """Looks at the calls of bodies; what it finds is in `found` and raised in the body."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.found: list[NotDeterministic] = []
        self._enabled = enabled
        self._builtins = _builtins()
        self._functions = _functions()
        self._body: RunningBody | None = None

    def look_at(self, body: RunningBody) -> None:
        """From now on, what is called is called by this body. Blind while a profiler is at work."""
        if self._enabled and self._body is None and sys.getprofile() is None:
            self._body = body
            sys.setprofile(self._look)

    def look_away(self) -> None:
        """Whatever is called from now on is no body's."""
        if self._body is not None:
            self._body = None
            sys.setprofile(None)

    def _look(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            words = self._functions.get(frame.f_code)
            caller = frame.f_back
        elif event == "c_call":
            try:
                words = self._builtins.get(called)
            except TypeError:  # bound to what cannot be hashed, so it is none of them
                return
            words = words or _of_a_kind_of_date(called)
            caller = frame
        else:
            return
        if words is None or caller is None or self._body is None:
            return
        if (event == "c_call" and _is_trusted(caller)) or _in_import(caller):
            return
        name, instead = words
        body = self._body
        where, through = _place(caller)
        error = NotDeterministic(
            name,
            through=through,
            task_id=body.task_id,
            task_type=body.task_type,
            where=where,
            instead=instead,
        )
        self.found.append(error)
        self.look_away()  # the error ends this step as far as the watch is concerned
        raise error


_CLOCKS_OF_DATES = frozenset(("now", "utcnow", "today"))


def _of_a_kind_of_date(called: Any) -> tuple[str, str] | None:
    """The words for a clock that a class inherits from datetime or date."""
    name = getattr(called, "__name__", "")
    owner = getattr(called, "__self__", None) if name in _CLOCKS_OF_DATES else None
    if isinstance(owner, type) and issubclass(owner, datetime.date):
        return f"{owner.__qualname__}.{name}", _CLOCK
    return None


_PLACEHOLDER = getattr(functools, "Placeholder", None)  # of newer Pythons


def call_in_sight(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call what a body has called by us, where that is seen as the body's own.

    Of a functools.partial nothing would be seen: it is C code that calls what is inside.
    """
    while type(function) is functools.partial and _PLACEHOLDER not in function.args:
        args, kwargs = (*function.args, *args), {**function.keywords, **kwargs}
        function = function.func
    return function(*args, **kwargs)


def _is_trusted(frame: FrameType) -> bool:
    if frame.f_code is call_in_sight.__code__:
        return False
    # Not all that is frozen into the interpreter: os is, too.
    return _package(frame) in _TRUSTED or frame.f_code.co_filename.startswith("<frozen importlib.")


# Whose frames are below those of every step of a body.
_RUNNERS = frozenset(
    ("cortex_tasks.testing.asyncio_loop", "cortex_tasks.testing.bodies", "trio._core._run")
)


def _in_import(frame: FrameType | None) -> bool:
    """Whether a module is being imported by this step: what that asks is not the body's doing."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib."):
            return True
        name = frame.f_globals.get("__name__")
        if name in _RUNNERS and frame.f_code.co_name != "<module>":
            return False
        frame = frame.f_back
    return False


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _place(caller: FrameType) -> tuple[str, str]:
    """The nearest line that is no library's, and what that line called if not the thing itself.

    `anyio.Path` uses a thread behind the scenes, say, and `uuid.uuid4` the system's chance.
    """
    frame: FrameType | None = caller
    inner: FrameType | None = None
    while frame is not None and (
        _package(frame) in _TRUSTED or _package(frame) in sys.stdlib_module_names
    ):
        inner, frame = frame, frame.f_back
    if frame is None:  # started by a library, on nobody's line
        frame, inner = caller, None
    through = f"{inner.f_globals['__name__']}.{inner.f_code.co_qualname}" if inner else ""
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}", through
