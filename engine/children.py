"""The pool of child processes in which CPU-bound functions run, so that they can be killed."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import anyio
import anyio.abc
import anyio.lowlevel

from .child_functions import know_main_alias, main_script_for, name_of
from .child_main import RESULT, pack, unpack
from .child_process import Answer, ChildGone, ChildProcess, OnProgress, OnSave
from .current import AROUND_IN_CHILD
from .errors import ChildCrashed, CortexTasksError

log = logging.getLogger("cortex_tasks.engine")

T = TypeVar("T")


class ChildFailed(CortexTasksError):
    """A function failed in a child with what cannot be raised here as it was.

    Its exception could not be pickled, or was not an Exception (SystemExit, a Rust panic).
    """

    def __init__(self, type_name: str, message: str, traceback: str) -> None:
        super().__init__(type_name, message, traceback)
        self.type_name = type_name
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name


class ChildPool:
    """Runs functions in child processes that die at once when they are told to.

    At most `max_idle` children are kept for the next call; one idle for `idle_timeout` seconds is
    ended. `async with ChildPool() as pool:` gives the pool a place to watch that time; without the
    block, children that are overdue are ended by the next `run` or by `aclose`.

    There is no queue here: each `run` takes an idle child or starts one. How many run at once is
    for the caller to bound.
    """

    def __init__(self, *, max_idle: int = 2, idle_timeout: float = 60.0) -> None:
        if not idle_timeout > 0:
            raise ValueError("idle_timeout must be more than 0 seconds; max_idle=0 keeps no child")
        self._max_idle = max_idle
        self._idle_timeout = idle_timeout
        self._children: set[ChildProcess] = set()  # all that have been started and not reaped
        self._idle: list[ChildProcess] = []  # the longest idle first
        self._started = anyio.Event()  # since the last time that there was no child
        self._closed = False
        self._block: anyio.abc.TaskGroup | None = None

    async def run(
        self,
        function: Callable[..., T],
        *args: Any,
        on_progress: OnProgress | None = None,
        on_save: OnSave | None = None,
        **kwargs: Any,
    ) -> T:
        """Run `function(*args, **kwargs)` in a child and give what it returns.

        The function is imported by name in the child; arguments and result are pickled. With
        `on_progress`, it is also given `report`, a function of the keywords `current`, `total` and
        `message`; what it reports arrives as dicts of the fields that changed, in order, in the
        event loop, at most 20 a second, the last one always and before the result.

        With `on_save`, it is also given `save`, a function of one argument: that is pickled, and
        awaited with here, before `save` returns or raises what was raised here.

        Cancelled, it kills the child and every process of its group and returns once the child is
        reaped. (A process that left the group by setsid is out of reach.) A kill runs no atexit.

        The function's own exception is raised with the child's traceback as a note; what cannot be
        raised here comes as ChildFailed. Raises ChildCrashed if the child died, NotImportable or
        TypeError before anything has started if the function or an argument cannot be sent, and
        ClosedResourceError if the pool is closed.
        """
        given = {"report": on_progress is not None, "save": on_save is not None}
        call, arguments = _encode(function, args, kwargs, given)
        await anyio.lowlevel.checkpoint_if_cancelled()
        child = await self._take()
        try:
            kind, payload = await self._call(child, call, arguments, on_progress, on_save)
        except BaseException:
            await self._end(child)
            raise
        await self._keep(child)
        if kind == RESULT:
            return cast("T", _result(payload))
        raise _failure(child.pid, payload)

    async def aclose(self) -> None:
        """Kill all children, also those at work, and take no more calls. Idempotent."""
        self._closed = True
        self._idle.clear()
        for child in self._children:
            child.kill()
        for child in list(self._children):
            await self._end(child)

    async def __aenter__(self) -> Self:
        self._block = anyio.create_task_group()
        await self._block.__aenter__()
        self._block.start_soon(self._end_overdue_on_time)
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._block is not None
        try:
            await self.aclose()
        finally:
            self._block.cancel_scope.cancel()
            # The block's own error is not told to the group, which would wrap it.
            await self._block.__aexit__(None, None, None)

    async def _call(
        self,
        child: ChildProcess,
        call: bytes,
        arguments: bytes,
        on_progress: OnProgress | None,
        on_save: OnSave | None,
    ) -> Answer:
        try:
            return await child.call(call, arguments, on_progress, on_save)
        except ChildGone:
            if self._closed:
                raise anyio.ClosedResourceError("the pool was closed during the call") from None
            raise ChildCrashed(_cause_of_death(await child.wait_death())) from None

    async def _take(self) -> ChildProcess:
        """Give a child that is nobody else's: the last to become idle, or a new one."""
        await self._end_overdue()
        while self._idle and not self._closed:
            child = self._idle.pop()
            if not child.is_gone():
                return child
            await self._end(child)
        if self._closed:
            raise anyio.ClosedResourceError("the pool of child processes is closed")
        try:
            child = ChildProcess()
        except OSError as error:
            raise ChildCrashed(f"no child process could be started: {error}") from error
        self._children.add(child)
        self._started.set()
        return child

    async def _keep(self, child: ChildProcess) -> None:
        if self._closed or len(self._idle) >= self._max_idle:
            await self._end(child)
            return
        child.idle_since = anyio.current_time()
        self._idle.append(child)

    async def _end(self, child: ChildProcess) -> None:
        try:
            await child.end()
        finally:
            if child.reap():  # one that is not dead yet is looked at again by _end_overdue
                self._children.discard(child)

    async def _end_overdue(self) -> None:
        self._children -= {child for child in self._children if child.killed and child.reap()}
        while self._idle and anyio.current_time() >= self._idle[0].idle_since + self._idle_timeout:
            await self._end(self._idle.pop(0))

    async def _end_overdue_on_time(self) -> None:
        while True:
            await self._started.wait()
            while self._children:
                # None is idle: none that becomes it can be overdue any sooner.
                since = self._idle[0].idle_since if self._idle else anyio.current_time()
                await anyio.sleep_until(since + self._idle_timeout)
                await self._end_overdue()
            self._started = anyio.Event()


def _encode(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    given: dict[str, bool],
) -> tuple[bytes, bytes]:
    """Give call and arguments, packed; raises NotImportable or TypeError if they cannot be sent."""
    name = name_of(function)
    for what, is_given in given.items():
        if is_given and what in kwargs:
            raise TypeError(f"the function is given its `{what}`: no argument may be called so")
    try:
        arguments = pack((args, kwargs))
    except Exception as error:
        raise TypeError(
            f"the arguments of {name[1]} cannot be sent to a child process: {error}. "
            "Pass plain data: numbers, texts, bytes, lists, dicts, structs."
        ) from error
    script = main_script_for(name, arguments)
    if script is not None:
        know_main_alias()
    return pack((sys.path, sys.argv, script, name, _around(), *given.values())), arguments


def _around() -> bytes | None:
    """What a tracer wants entered around the function, packed; nothing if it cannot be sent."""
    around = AROUND_IN_CHILD.get()
    try:
        return None if around is None else pack(around)
    except Exception:
        log.exception("the tracer failed: what it wants around a child's function cannot be sent")
        return None


def _result(payload: bytearray) -> Any:
    try:
        return unpack(payload)
    except Exception as error:
        raise TypeError(f"the result of a child process cannot be read: {error}") from error


def _failure(pid: int, payload: bytearray) -> Exception:
    """Give the exception to raise for a function that raised."""
    exact, type_name, message, traceback = unpack(payload)
    failure: object = None
    if exact is not None:
        # An exception with a constructor of its own often cannot be rebuilt.
        with contextlib.suppress(Exception):
            failure = unpack(exact)
    if not isinstance(failure, Exception):
        failure = ChildFailed(type_name, message, traceback)
    failure.add_note(f"In child process {pid}:\n{traceback.rstrip()}")
    return failure


def _cause_of_death(exit_status: int | None) -> str:
    """Say how a child died by itself, and what to do."""
    if exit_status is None:
        return (
            "the child process closed its connection to the parent and was killed: "
            "the function may close only those descriptors that it opened"
        )
    if exit_status >= 0:
        return (
            f"the child process ended with exit code {exit_status} in the middle of the call: "
            "something in it called os._exit; raise an exception instead (stderr may tell more)"
        )
    if -exit_status == signal.SIGKILL:
        return (
            "the child process was killed by SIGKILL, most often because the system ran out of "
            "memory (its log tells): give the function smaller pieces, or the machine more memory"
        )
    try:
        name = signal.Signals(-exit_status).name
    except ValueError:  # real-time signals have no names
        name = f"signal {-exit_status}"
    return (
        f"the child process was killed by {name}: a fault in native code, or a signal sent by "
        "hand (stderr tells where the function was)"
    )
