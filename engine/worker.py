"""A worker: the actor that runs the tasks of one type, a few at a time.

It hears   Run   from the supervisor, over a bounded channel, for a place that is free
           Stop  from the supervisor, at any time
It says    Progressed  Succeeded  Failed  Stopped  Overdue   to the supervisor

Each place is a standing coroutine that runs one body after another, each in a cancel scope of its
own. A worker reports; it never writes state.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import Any

import anyio
import anyio.abc
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream

from .attempts import Attempt
from .context import Children, TaskContext
from .errors import TooLarge
from .exact_json import Unwanted, is_large
from .failures import describe, stack_of, traceback_of
from .messages import (
    Failed,
    Heard,
    Outcome,
    Overdue,
    Progressed,
    Run,
    Stopped,
    StopReason,
    Succeeded,
)
from .process_body import run_process_body
from .registry import TaskType
from .settings import Limits
from .surroundings import Surroundings

log = logging.getLogger("cortex_tasks.engine")

_EMPTY_RESULT = msgspec.Raw(b"{}")


class Worker:
    """Runs the bodies of one task type."""

    def __init__(
        self,
        declared: TaskType[Any, Any],
        *,
        post: Callable[[Heard], Awaitable[None]],
        surroundings: Surroundings,
        children: Children,
        progress_interval: float,
        limits: Limits,
    ) -> None:
        self._declared = declared
        self._post = post
        self._surroundings = surroundings
        self._children = children
        self._progress_interval = progress_interval
        self._limits = limits
        # Room for every place: the supervisor never runs more, so it never waits for a worker.
        self._runs_out, self._runs = anyio.create_memory_object_stream[Attempt](
            declared.concurrency
        )
        self._attempts: dict[str, Attempt] = {}  # handed over and not over, oldest first
        self._places = 0
        self._moved: dict[str, TaskContext] = {}  # with progress that the supervisor has not heard
        self._some_moved = anyio.Event()
        self._some_run = anyio.Event()
        self._none_run = anyio.Event()
        self._started = anyio.Event()
        self._nursery: anyio.abc.TaskGroup

    # -- heard from the supervisor ---------------------------------------------------------------

    def start_nowait(self, run: Run, told: StopReason | None) -> None:
        """Run this attempt; one that was told to stop meanwhile ends before its body begins."""
        attempt = Attempt(run)
        record = run.record
        attempt.ctx = TaskContext(
            task_id=record.id,
            task_type=record.type,
            attempt=record.attempt,
            surroundings=self._surroundings,
            children=self._children,
            note_progress=self._note_progress,
            limits=self._limits,
        )
        if told is not None:
            attempt.stop(told)
        self._attempts[record.id] = attempt
        self._some_run.set()
        if len(self._attempts) > self._places:
            self._places += 1
            self._nursery.start_soon(self._place, self._runs.clone())
        self._runs_out.send_nowait(attempt)

    def stop_nowait(self, task_id: str, why: StopReason) -> None:
        """Stop the body of this task; nothing happens if it has ended."""
        attempt = self._attempts.get(task_id)
        if attempt is not None and attempt.told is None:
            attempt.stop(why)
            self._nursery.start_soon(self._report_if_overdue, attempt, self._declared.cancel_grace)

    def stop_all_nowait(self, why: StopReason) -> None:
        """Stop every body."""
        for task_id in list(self._attempts):
            self.stop_nowait(task_id, why)

    def attempts(self) -> list[Attempt]:
        """The attempts under way, oldest first."""
        return list(self._attempts.values())

    # -- the actor -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled."""
        with self._runs_out, self._runs:
            async with anyio.create_task_group() as self._nursery:
                self._nursery.start_soon(self._report_progress)
                if self._declared.timeout is not None:
                    self._nursery.start_soon(self._watch_timeouts, self._declared.timeout)
                self._started.set()
                await anyio.sleep_forever()

    async def wait_started(self) -> None:
        """Wait until it can be given something to run."""
        await self._started.wait()

    def close(self) -> None:
        """Let go of the channel, where `run` was never called."""
        self._runs_out.close()
        self._runs.close()

    async def wait_idle(self) -> None:
        """Wait until no body runs."""
        while self._attempts:
            self._none_run = anyio.Event()
            await self._none_run.wait()

    async def _place(self, runs: MemoryObjectReceiveStream[Attempt]) -> None:
        with runs:
            async for attempt in runs:
                try:
                    outcome = await self._carry_out(attempt)
                finally:
                    attempt.over = True
                    del self._attempts[attempt.record.id]
                    self._moved.pop(attempt.record.id, None)
                    if not self._attempts:
                        self._none_run.set()
                await self._post(outcome)

    async def _carry_out(self, attempt: Attempt) -> Outcome:
        """Run the body to its end, whatever end that is."""
        record = attempt.record
        timeout = self._declared.timeout
        if timeout is not None:
            attempt.started_at = anyio.current_time()
            attempt.scope.deadline = attempt.started_at + timeout
        try:
            with attempt.scope:
                if attempt.told is None:
                    result = await self._run_body(attempt)
                    if not attempt.timed_out:
                        # Told or not: it finished before it heard, and the truth wins.
                        report = attempt.ctx.take_report()
                        return Succeeded(record.id, record.attempt, result, report)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):  # it is meant for the whole program
                await self._post(Stopped(record.id, record.attempt, "KeyboardInterrupt", None))
                raise
            if _cancels_the_worker(error):
                raise
            return self._failure(attempt, error)
        report = attempt.ctx.take_report()
        if attempt.told is not None:
            return Stopped(record.id, record.attempt, None, report)
        verdict = f"timed out after {timeout:g} s"
        log.warning("%s of type %s %s", record.id, record.type, verdict)
        return Failed(record.id, record.attempt, verdict, None, report)

    async def _run_body(self, attempt: Attempt) -> msgspec.Raw:
        declared = self._declared
        if declared.runs == "process":
            encoded = await attempt.ctx.run_in_child(
                run_process_body,
                declared,
                bytes(attempt.params),
                attempt.record.id,
                attempt.record.attempt,
            )
        else:
            arguments = (declared.decode_params(attempt.params),) if declared.takes_params else ()
            body: CoroutineType[Any, Any, Any] = declared.body(attempt.ctx, *arguments)
            attempt.body = body
            result = await body
            if is_large(result):
                encoded = await self._encode_large(result, attempt)
            else:
                encoded = declared.encode_result(result)
        if encoded == b"null":  # clients take a null result for one that is still to come
            return _EMPTY_RESULT
        if len(encoded) > self._limits.max_result_bytes:
            raise TooLarge(
                f"the result is {len(encoded):,} bytes of JSON, over the limit of "
                f"{self._limits.max_result_bytes:,} (Limits.max_result_bytes)"
            )
        return msgspec.Raw(encoded)

    async def _encode_large(self, result: Any, attempt: Attempt) -> bytes:
        """Encode the result without holding up the loop; a stop ends that early."""

        def encode() -> bytes | None:
            try:
                return self._declared.encode_result(
                    result, in_pieces=True, go_on=lambda: attempt.told is None
                )
            except Unwanted:
                return None

        while (encoded := await self._surroundings.offload(encode)) is None:
            await anyio.sleep_forever()  # until its scope, which has been cancelled, is left
        return encoded

    def _failure(self, attempt: Attempt, error: BaseException) -> Outcome:
        record = attempt.record
        text = describe(error, self._limits.max_error_chars)
        trace = traceback_of(error, self._limits.max_traceback_chars)
        report = attempt.ctx.take_report()
        if attempt.told is not None:
            log.warning("%s raised while it was stopping: %s\n%s", record.id, text, trace)
            return Stopped(record.id, record.attempt, text, report)
        log.warning("%s of type %s failed: %s\n%s", record.id, record.type, text, trace)
        return Failed(record.id, record.attempt, text, trace, report)

    # -- progress --------------------------------------------------------------------------------

    def _note_progress(self, ctx: TaskContext) -> None:
        self._moved[ctx.task_id] = ctx
        self._some_moved.set()

    async def _report_progress(self) -> None:
        """Tell the supervisor at once of the first report, then at most once per interval."""
        while True:
            await self._some_moved.wait()
            self._some_moved = anyio.Event()
            moved, self._moved = self._moved, {}
            reports = tuple(
                report for ctx in moved.values() if (report := ctx.take_report()) is not None
            )
            # None is left where an outcome took them along; by then nobody may be there to hear.
            if reports:
                await self._post(Progressed(reports))
            await anyio.sleep(self._progress_interval)

    # -- bodies that do not stop -----------------------------------------------------------------

    async def _watch_timeouts(self, timeout: float) -> None:
        """Look for bodies that go on after their time is over. The oldest is due first."""
        while True:
            attempt = next((one for one in self._attempts.values() if not one.watched), None)
            if attempt is None:
                self._some_run = anyio.Event()
                await self._some_run.wait()
                continue
            attempt.watched = True
            started_at = anyio.current_time() if attempt.started_at is None else attempt.started_at
            await anyio.sleep_until(started_at + timeout + self._declared.cancel_grace)
            if attempt.told is None:
                await self._report_if_overdue(attempt, 0)

    async def _report_if_overdue(self, attempt: Attempt, wait: float) -> None:
        await anyio.sleep(wait)
        if attempt.over:
            return
        record = attempt.record
        log.error(
            "%s of type %s was told to stop and has not, after %g s; its body is here:\n%s",
            record.id,
            record.type,
            self._declared.cancel_grace,
            stack_of(attempt.body),
        )
        await self._post(Overdue(record.id, record.attempt, self._declared.cancel_grace))


def _cancels_the_worker(error: BaseException) -> bool:
    """Whether this is the end of the whole worker rather than something that the body raised.

    On asyncio a body may let a CancelledError out that nobody meant for it (from a future that
    was cancelled, say): that is its failure.
    """
    cancelled = anyio.get_cancelled_exc_class()
    return isinstance(error, cancelled) and anyio.current_effective_deadline() == float("-inf")
