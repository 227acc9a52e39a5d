"""One child process: started, called, killed, reaped."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio

from .child_main import ARGUMENTS, CALL, HEADER, PROGRESS, SAVE, SAVED, SMALL, pack, unpack
from .process_groups import wait_group_ended

logger = logging.getLogger(__name__)

OnProgress: TypeAlias = Callable[[dict[str, Any]], None]
OnSave: TypeAlias = Callable[[Any], Awaitable[None]]
Answer: TypeAlias = tuple[int, bytearray]
"""The kind of a frame, and its payload."""

_CHILD_MAIN: Final = str(Path(__file__).with_name("child_main.py"))
_REAP_DEADLINE: Final = 5.0  # a killed process lives on only in an uninterruptible system call
_EXIT_DEADLINE: Final = 1.0  # from losing the wire to being dead, for one that died by itself


class ChildGone(Exception):
    """The child's end of the wire is closed: it is dead, or as good as."""


class ChildProcess:
    """A child with its own process group, and the only holder of the parent's ends of its wires.

    One call at a time. Whoever creates it must `end` it.
    """

    def __init__(self) -> None:
        """Start the child; raises OSError if the system has no room for it.

        Blocks for about a millisecond, on purpose: without an await in here no cancellation can
        come between the process and the record of who owns it.
        """
        self.idle_since = 0.0  # the pool's note, on the event loop's clock
        self.killed = False
        self._group_ended = False
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            self._wire, wire = socket.socketpair()
            ours.callback(self._wire.close)
            theirs.callback(wire.close)
            reading, writing = os.pipe()
            theirs.callback(os.close, reading)
            # Never written to. When it closes, at the latest with our own death, the child dies.
            self._lifeline = ours.enter_context(os.fdopen(writing, "wb", buffering=0))
            self._process = subprocess.Popen(
                [*_interpreter(), _CHILD_MAIN, str(wire.fileno()), str(reading)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the child points it at its stderr
                pass_fds=(wire.fileno(), reading),
                start_new_session=True,
            )
            ours.pop_all()
        self._wire.setblocking(False)
        _living.add(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def call(
        self,
        call: bytes,
        arguments: bytes,
        on_progress: OnProgress | None,
        on_save: OnSave | None = None,
    ) -> Answer:
        """Have the child run one call; give its answer, RESULT or FAILED.

        Raises ChildGone. Left by a cancellation or an exception of `on_progress`, the child is in
        the middle of a call: it can only be ended.
        """
        head = HEADER.pack(CALL, len(call)) + call + HEADER.pack(ARGUMENTS, len(arguments))
        if len(arguments) < SMALL:
            await self._send(head + arguments)
        else:
            await self._send(head)
            await self._send(arguments)
        while True:
            await self._wait(anyio.wait_readable)
            kind, size = HEADER.unpack(await self._exactly(HEADER.size))
            payload = await self._exactly(size)
            if kind == SAVE and on_save is not None:
                await self._save(payload, on_save)
            elif kind != PROGRESS:
                return kind, payload
            elif on_progress is not None:
                on_progress(unpack(payload))

    async def _save(self, payload: bytearray, on_save: OnSave) -> None:
        """Have a checkpoint kept, and tell the child, which waits."""
        refusal: Exception | None = None
        try:
            await on_save(unpack(payload))
        except Exception as error:  # noqa: BLE001  raised again, in the child
            refusal = error
        answer = _refusal(refusal)
        await self._send(HEADER.pack(SAVED, len(answer)) + answer)

    def is_gone(self) -> bool:
        """Whether an idle child has died: as it says nothing, only its end can be read."""
        try:
            self._wire.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def kill(self) -> None:
        """Send SIGKILL to the child and all in its group.

        Never to strangers: the unreaped child keeps the number of the group from being given away.
        """
        self.killed = True
        if not self._group_ended:
            # Nobody left is fine; on macOS a group of zombies answers with the latter.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def wait_death(self) -> int | None:
        """End a child that is gone; give its exit status, or None if it was alive after all."""
        with anyio.move_on_after(_EXIT_DEADLINE) as patience:
            await self._wait_exited()
        await self.end()
        return None if patience.cancelled_caught else self._process.returncode

    async def end(self) -> None:
        """Kill the group, reap the child, close every descriptor.

        Twice, or by two at a time, is fine. Shielded from cancellation, with a deadline: a child
        that outlives it is logged, and `reap` can be tried again.
        """
        self.kill()
        try:
            with anyio.move_on_after(_REAP_DEADLINE, shield=True):
                await self._wait_exited()
                await wait_group_ended(self.pid)  # its number is ours as long as it is unreaped
        finally:
            if not self.reap():
                logger.error("child process %d was killed but does not end", self.pid)
            self._close()

    def reap(self) -> bool:
        """Take a dead child off the system's books once it was killed; False if it still lives."""
        self._group_ended = self._process.poll() is not None
        return self._group_ended

    async def _wait_exited(self) -> None:
        """Wait until the process is dead.

        Where the system has pidfds it stays unreaped, so that its group still owns its number.
        """
        if self._process.returncode is not None:
            return
        try:
            pidfd = os.pidfd_open(self.pid)
        except (
            AttributeError,
            OSError,
        ):  # not this system, no descriptor free, or reaped by others
            while self._process.poll() is None:  # noqa: ASYNC110  nothing there tells us
                await anyio.sleep(0.002)
            return
        try:
            await anyio.wait_readable(pidfd)
        finally:
            os.close(pidfd)

    async def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._wire.send(rest) :]
            except BlockingIOError:
                await self._wait(anyio.wait_writable)
            except OSError as error:
                raise ChildGone from error

    async def _exactly(self, size: int) -> bytearray:
        frame = bytearray(size)
        rest = memoryview(frame)
        while True:
            try:
                got = self._wire.recv_into(rest)
            except BlockingIOError:
                got = 0
            except OSError as error:
                raise ChildGone from error
            else:
                if not got:
                    raise ChildGone
            rest = rest[got:]
            if not rest:
                return frame
            await self._wait(anyio.wait_readable)  # also to let others run while much is coming in

    async def _wait(self, ready: Callable[[socket.socket], Awaitable[None]]) -> None:
        try:
            await ready(self._wire)
        except anyio.ClosedResourceError as error:
            raise ChildGone from error

    def _close(self) -> None:
        if self._wire.fileno() != -1:
            anyio.notify_closing(self._wire)
            self._wire.close()
        self._lifeline.close()

    def forget(self) -> None:
        """Close our ends in a fork of this process, whose copies would keep the child alive."""
        self._wire.close()
        self._lifeline.close()


def _refusal(error: Exception | None) -> bytes:
    """The answer to a SAVE: the error as it is, where it can travel."""
    try:
        packed = pack(error)
        unpack(packed)
    except Exception:  # noqa: BLE001  an exception may be of any make
        return pack(RuntimeError(f"{type(error).__name__}: {error}"))
    return packed


def _interpreter() -> list[str]:
    """The interpreter, with the options that it was given."""
    # Private, and what multiprocessing itself uses.
    options: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    return [sys.executable, *options, "-P"]  # -P: our folder is no place to import from


_living: weakref.WeakSet[ChildProcess] = weakref.WeakSet()


def _forget_children() -> None:
    for child in list(_living):
        child.forget()


os.register_at_fork(after_in_child=_forget_children)
