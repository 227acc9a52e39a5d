"""What runs inside a child process: it reads calls from its parent, runs them, and answers.

Heard:  CALL       sys.path, sys.argv, the parent's script, the function's name, whether it reports
        ARGUMENTS  args and kwargs
        SAVED      None, or the exception with which a SAVE was refused
Said:   PROGRESS   the fields that changed since the last one, and lines of the task's log
        SAVE       a checkpoint: the function waits until it has been answered
        RESULT     what the function returned
        FAILED     the exception where it can travel; always its type's name, text and traceback

A frame is one byte of kind, eight of length, and a pickle. This file is run by its path and stands
on the standard library alone, so that a child costs the start of an interpreter and not the import
of this package. The parent imports it for the shape of the wire.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import importlib.util
import io
import os
import pickle
import signal
import struct
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

try:
    import fcntl
except ImportError:  # only Linux has what die_with_parent would ask of it
    fcntl = None  # type: ignore[assignment]

CALL, ARGUMENTS, PROGRESS, RESULT, FAILED, SAVE, SAVED = range(7)
HEADER: Final = struct.Struct("!BQ")

FunctionName: TypeAlias = tuple[str, str, int]
"""Module, qualified name, and how many wrappers (`__wrapped__`) to take off."""

MainScript: TypeAlias = tuple[str | None, str]
"""How the parent's script can be loaded: the module's name if it was run with -m, and its path."""

# The name under which the script is loaded here: multiprocessing's, which scripts may know already.
MAIN_ALIAS: Final = "__mp_main__"
LOADING: Final = "__being_loaded_in_a_child__"

REPORT_INTERVAL: Final = 0.05
LINES_HELD: Final = 256  # lines of a log that wait for the end of an interval
SMALL: Final = 1 << 16  # a frame below this leaves in one write, or its reader would wake twice


def pack(value: object) -> bytes:
    """Pickle for the wire."""
    return pickle.dumps(value, protocol=5)


def unpack(payload: bytes | bytearray) -> Any:
    """Read what the other end packed."""
    # Safe here: the wire is a socket pair without a name, between a process and its own child.
    return pickle.loads(payload)  # noqa: S301


class Wire:
    """The child's end of the socket pair. Frames leave whole, from whichever thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._sending = threading.Lock()

    def receive(self) -> bytearray:
        """Wait for the next frame and give its payload; raises EOFError once the parent is gone."""
        _, size = HEADER.unpack(self._exactly(HEADER.size))
        return self._exactly(size)

    def send(self, kind: int, payload: bytes) -> None:
        header = HEADER.pack(kind, len(payload))
        with self._sending:
            if len(payload) < SMALL:
                self._write(header + payload)
            else:
                self._write(header)
                self._write(payload)

    def _exactly(self, size: int) -> bytearray:
        buffer = bytearray(size)
        rest = memoryview(buffer)
        while rest:
            got = os.readv(self._descriptor, [rest])
            if not got:
                raise EOFError
            rest = rest[got:]
        return buffer

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class Reporter:
    """What a function calls to tell its progress: `report(current=3, total=9, message="…")`.

    Cheap to call in a tight loop. The first report leaves at once, then at most one frame every
    REPORT_INTERVAL, which carries the newest value of each field. What was held back leaves at the
    end of its interval even if the function never reports again, and always before the result.
    Safe from any thread of the function; after the function has ended it changes nothing.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._held: dict[str, object] = {}
        self._next_frame = 0.0
        self._closed = False
        self._something_held = threading.Event()
        self._flusher: threading.Thread | None = None

    def __call__(
        self,
        *,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
        log: Sequence[tuple[str, str, bytes]] = (),
    ) -> None:
        with self._lock:
            if log:
                self._hold_lines(log)
            if current is not None:
                self._held["current"] = _plain(current)
            if total is not None:
                self._held["total"] = _plain(total)
            if message is not None:
                self._held["message"] = str(message)
            if time.monotonic() >= self._next_frame:
                self._flush()
            elif not self._something_held.is_set():
                self._hold()

    def _hold_lines(self, lines: Sequence[tuple[str, str, bytes]]) -> None:
        held = self._held.setdefault("log", [])
        assert isinstance(held, list)
        held.extend(lines)
        if len(held) >= LINES_HELD:  # no more than a frame may carry, however fast they come
            self._flush()

    def close(self) -> None:
        """Send what is held back and take nothing more."""
        with self._lock:
            self._flush()
            self._closed = True
            self._something_held.set()

    def _flush(self) -> None:
        if self._held and not self._closed:
            self._send(pack(self._held))
            self._next_frame = time.monotonic() + REPORT_INTERVAL
        self._held = {}

    def _hold(self) -> None:
        self._something_held.set()
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._flush_on_time, daemon=True)
            self._flusher.start()

    def _flush_on_time(self) -> None:
        while True:
            self._something_held.wait()
            time.sleep(max(0.0, self._next_frame - time.monotonic()))
            with self._lock:
                if self._closed:
                    return
                # Unless a report has just left by itself and begun another interval.
                if time.monotonic() >= self._next_frame:
                    self._flush()
                    self._something_held.clear()


class Saver:
    """What a function calls to save a checkpoint: returns once the parent has kept it.

    Raises what the parent refuses it with. Safe from any thread of the function; after the
    function has ended it raises RuntimeError.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._lock = threading.Lock()
        self._closed = False

    def __call__(self, value: object) -> None:
        payload = pack(value)
        with self._lock:
            if self._closed:
                raise RuntimeError("the function has ended: no checkpoint of it is kept any more")
            self._wire.send(SAVE, payload)
            refusal = unpack(self._wire.receive())
        if refusal is not None:
            raise refusal

    def close(self) -> None:
        """Take nothing more; one that is on its way is waited for."""
        with self._lock:
            self._closed = True


def main() -> None:
    """Serve calls until the parent goes away."""
    wire, lifeline = (int(number) for number in sys.argv[1:3])
    die_with_parent(lifeline)
    leave_signals_to_parent()
    keep_off_the_wire(wire, lifeline)
    with contextlib.suppress(RuntimeError):  # there is no stderr
        faulthandler.enable()  # a segfault says where
    calls = Wire(wire)
    with contextlib.suppress(EOFError):
        while True:
            answer_one(calls)
    end_group()


def die_with_parent(lifeline: int) -> None:
    """See to it that this process and its whole group are killed when the parent is gone.

    The parent holds the other end of the lifeline and never writes. On Linux the kernel itself
    sends SIGKILL to the group when that end closes, whatever the function is doing. Elsewhere a
    thread does, which must first get the GIL: Python code gives it up every 5 ms, native code when
    it likes.
    """
    os.set_inheritable(lifeline, False)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    if hasattr(fcntl, "F_SETSIG"):
        with contextlib.suppress(OSError):  # some sandboxes refuse: the thread is there
            fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
            fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
            flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
            fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)
    end_group()


def end_group() -> None:
    """Kill this process and all that it started."""
    os.killpg(0, signal.SIGKILL)


def leave_signals_to_parent() -> None:
    """Let the parent decide when a child ends.

    A service manager that stops the service signals every process of it, and the parent may want to
    finish what runs. Handlers rather than SIG_IGN, which programs started by the function would
    inherit; forked ones get the defaults back, or nobody could terminate them.
    """
    ours = (signal.SIGINT, signal.SIGTERM)
    for number in ours:
        signal.signal(number, lambda *_: None)
    # Blocked around a fork, or a signal that the forked process gets before its defaults is lost.
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ours),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, ours),
        after_in_child=_default_signals,
    )


def _default_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))


def keep_off_the_wire(wire: int, lifeline: int) -> None:
    """Keep prints, and processes that the function starts, away from our descriptors."""
    with contextlib.suppress(OSError):  # no stderr: prints go to /dev/null, as stdout already does
        os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # or a kill would lose what was printed
    os.set_inheritable(wire, False)
    # A forked process that held the wire would hide the death of this one from the parent.
    os.register_at_fork(after_in_child=lambda: os.close(wire))
    os.register_at_fork(after_in_child=lambda: os.close(lifeline))


def answer_one(wire: Wire) -> None:
    """Take one call and answer it; raises EOFError once the parent is gone."""
    call, arguments = wire.receive(), wire.receive()
    reporter, saver = Reporter(lambda payload: wire.send(PROGRESS, payload)), Saver(wire)
    try:
        kind, answer = RESULT, perform(call, arguments, reporter, saver)
    except BaseException as error:  # noqa: BLE001  SystemExit ends the call, not the child
        kind, answer = FAILED, describe(error)
    reporter.close()
    saver.close()
    wire.send(kind, answer)


def perform(call: bytearray, arguments: bytearray, reporter: Reporter, saver: Saver) -> bytes:
    """Run the call and give its packed result."""
    # Each call starts from the parent's present sys.path, whatever an earlier one did to ours.
    sys.path[:], sys.argv[:], script, name, around, reports, saves = unpack(call)
    if script is not None:
        load_main(script)
    function = resolve(name)
    try:
        args, kwargs = unpack(arguments)
    except Exception as error:
        message = f"the arguments of {name[1]} cannot be read in the child: {error}"
        raise TypeError(message) from error
    if reports:
        kwargs["report"] = reporter
    if saves:
        kwargs["save"] = saver
    entered = enter(around)
    try:
        result = function(*args, **kwargs)
    finally:
        leave(entered)
    try:
        return pack(result)
    except Exception as error:
        raise TypeError(
            f"the result of {name[1]} cannot be sent to the parent: {error}. "
            "Return plain data: numbers, texts, bytes, lists, dicts, structs."
        ) from error


def enter(around: bytes | None) -> Any:
    """Enter what a tracer wants around the function, and give it; None if it cannot be entered:
    the function runs anyhow.
    """
    if around is None:
        return None
    try:
        manager = unpack(around)()
        manager.__enter__()
    except BaseException:  # noqa: BLE001  SystemExit is no end of the function's either
        return None
    return manager


def leave(entered: Any) -> None:
    """Leave it again, with the function's exception if there is one, which goes on in any case."""
    if entered is not None:
        with contextlib.suppress(BaseException):
            entered.__exit__(*sys.exc_info())


def load_main(script: MainScript) -> None:
    """Load the parent's script, once, under a name that keeps `if __name__ == "__main__"` shut."""
    if MAIN_ALIAS in sys.modules:
        return
    module_name, path = script
    module: Any = types.ModuleType(MAIN_ALIAS)
    module.__file__ = path
    if module_name is None:
        with io.open_code(path) as file:
            code = compile(file.read(), path, "exec")
    else:
        spec: Any = importlib.util.find_spec(module_name)
        module.__spec__, module.__package__ = spec, spec.parent
        code = spec.loader.get_code(module_name)
    ours = sys.modules["__main__"]
    sys.modules[MAIN_ALIAS] = sys.modules["__main__"] = module
    setattr(module, LOADING, True)
    try:
        exec(code, module.__dict__)  # noqa: S102  the script that the parent itself is running
    except BaseException:
        del sys.modules[MAIN_ALIAS]
        sys.modules["__main__"] = ours
        raise
    finally:
        delattr(module, LOADING)


def resolve(name: FunctionName) -> Any:
    """Find a function by its name, importing its module; raises ImportError or AttributeError."""
    module, qualified_name, wrappers = name
    found: Any = importlib.import_module(module)
    for part in qualified_name.split("."):
        found = getattr(found, part)
    for _ in range(wrappers):
        found = found.__wrapped__
    return found


def describe(error: BaseException) -> bytes:
    """Give the answer for a call that raised."""
    exact = None
    # What is only a BaseException (SystemExit, a cancellation), and StopIteration, would mean
    # something to the parent's own event loop: it travels as a description alone.
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        with contextlib.suppress(Exception):
            exact = pack(error)
    try:
        text = str(error)
    except Exception as unreadable:  # noqa: BLE001  an exception may be of any make
        text = f"<its text cannot be read: {unreadable!r}>"
    module, name = type(error).__module__, type(error).__qualname__
    type_name = name if module == "builtins" else f"{module}.{name}"
    return pack((exact, type_name, text, _traceback_of(error)))


def _traceback_of(error: BaseException) -> str:
    """The traceback as text, from the function's own first frame on."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, frames))
    except Exception as unreadable:  # noqa: BLE001  formatting asks the exception for its text
        return f"<the traceback cannot be shown: {unreadable!r}>\n"


def _plain(number: float) -> float:
    """The number as Python's own, so that the parent needs no library to read it."""
    return number if type(number) in (int, float) else float(number)


if __name__ == "__main__":
    main()
