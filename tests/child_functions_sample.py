"""Functions that the laws on children send there: a child imports this file by name."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

Report = Callable[..., None]


class Picky(Exception):
    """Cannot be rebuilt from its args."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class Panic(BaseException):
    """Like what an extension module in Rust raises."""


class Unreadable:
    """Can be sent, but the receiver cannot read it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return fail_to_read, ()


class Desk:
    """Something with methods."""

    @classmethod
    def of_class(cls, number: int) -> tuple[str, int]:
        return cls.__name__, number

    def of_object(self) -> None: ...


def fail_to_read() -> NoReturn:
    raise LookupError("cannot be rebuilt")


def doubled(function: Callable[[int], int]) -> Callable[[int], int]:
    @functools.wraps(function)
    def twice(number: int) -> int:
        return 2 * function(number)

    return twice


def replaced(function: Callable[[], None]) -> Callable[[], None]:
    def other() -> None: ...

    return other


@doubled
def plus_one(number: int) -> int:
    return number + 1


def kept_apart() -> None: ...


original = kept_apart
kept_apart = replaced(kept_apart)


def pid() -> int:
    return os.getpid()


def describe(*args: object, **kwargs: object) -> dict[str, object]:
    return {"pid": os.getpid(), "args": args, "kwargs": kwargs}


def surroundings() -> dict[str, Any]:
    return {
        "executable": sys.executable,
        "path": sys.path,
        "argv": sys.argv,
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "optimize": sys.flags.optimize,
        "session": os.getsid(0),
        "pid": os.getpid(),
    }


def spoil_path() -> None:
    sys.path.insert(0, "/nowhere")


def open_files() -> list[str]:
    files = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            files.append(str(descriptor.readlink()))
    return files


async def asynchronous() -> None: ...


def unpicklable() -> object:
    return threading.Lock()


def unreadable() -> Unreadable:
    return Unreadable()


def fail(error: BaseException | type[BaseException], *args: object) -> NoReturn:
    raise error(*args) if isinstance(error, type) else error


def fail_with_baggage() -> NoReturn:
    error = ValueError("has a lock with it")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    raise error


def recurse() -> None:
    recurse()


def exit_at_once(code: int) -> NoReturn:
    os._exit(code)


def die_of(number: int) -> None:
    os.kill(os.getpid(), number)


def close_everything() -> None:
    os.closerange(3, 100)
    signal.pause()


def chatter() -> str:
    print("printed in the child")  # noqa: T201  as a function of anybody's may
    os.write(1, b"\x00\xff written to descriptor 1\n")
    sys.stdout.write("no newline")
    return "whole"


def signal_itself() -> str:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    return "still here"


def end_own_children() -> tuple[int, int]:
    """Terminate a forked and a started process; give what ended them."""
    forked = os.fork()
    if not forked:
        while True:
            signal.pause()
    os.kill(forked, signal.SIGTERM)
    _, status = os.waitpid(forked, 0)
    started = subprocess.Popen(["sleep", "1000"])
    started.terminate()
    return os.WTERMSIG(status), -started.wait()


def grandchild() -> int:
    return subprocess.Popen(["sleep", "1000"]).pid


def forked_grandchild() -> int:
    forked = os.fork()
    if not forked:
        while True:
            signal.pause()
    return forked


def spin() -> NoReturn:
    while True:
        pass


def hold_gil() -> int:
    return sum(range(10**13))


def work_for_ever(how: Callable[[], object], report: Report) -> object:
    """Start two processes, tell their numbers and our own, and never return."""
    for number in (grandchild(), forked_grandchild(), os.getpid()):
        time.sleep(0.1)  # longer than the interval between frames: each number leaves at once
        report(current=number)
    return how()


def crash_with_grandchildren(path: str) -> None:
    Path(path).write_text(f"{grandchild()} {forked_grandchild()}")
    os._exit(3)


def spin_without_the_kernel(report: Report) -> None:
    """Undo what the kernel was asked for when the parent dies, and work on in Python."""
    for path in Path("/proc/self/fd").iterdir():
        descriptor = int(path.name)
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
                fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_ASYNC)
    work_for_ever(spin, report)


def count(number: int, report: Report) -> int:
    for current in range(1, number + 1):
        report(current=current, total=number)
    return number


def report_once_too_few(path: str, report: Report) -> str:
    """Report twice, then wait for the file, which the second report brings about."""
    report(current=1, message="first")
    report(current=2)
    report(message="second")
    while not Path(path).exists():
        time.sleep(0.001)
    return "seen"


kept_report: Report | None = None


def keep_report(report: Report) -> None:
    global kept_report  # noqa: PLW0603  what a function leaves behind is the point
    kept_report = report


def use_kept_report(report: Report) -> None:
    assert kept_report is not None
    kept_report(message="late")
    report(message="own")
    kept_report(message="later")
