"""A worker: the actor that runs the tasks of one type, a few at a time.

It hears   Run   from the supervisor, when one of its places is free
           Stop  from the supervisor, at any time
It says    Progressed  Save  Overdue   to the supervisor; its places say Succeeded  Failed  Stopped

A worker reports; it never writes state.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.abc
import msgspec

from .attempts import Attempt
from .bodies import Bodies
from .context import Children, TaskContext
from .failures import stack_of
from .loop_entry import LoopEntry
from .messages import Heard, Outcome, Overdue, Progressed, Run, Save, StopReason
from .places import Place
from .registry import TaskType
from .replies import OneReply
from .settings import Limits
from .surroundings import Surroundings
from .tracing import Tracer, noted

log = logging.getLogger("cortex_tasks.engine")


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
        tracer: Tracer | None = None,
    ) -> None:
        self._declared = declared
        self._post = post
        self._surroundings = surroundings
        self._children = children
        self._progress_interval = progress_interval
        self._limits = limits
        self._bodies = Bodies(declared, limits, surroundings.encode, children)
        self._tracer = tracer
        self._attempts: dict[str, Attempt] = {}  # handed over and not over, oldest first
        # Never more than the concurrency, which the supervisor keeps to, so it need never wait.
        self._free: list[Place] = []
        self._moved: dict[str, TaskContext] = {}  # with progress that the supervisor has not heard
        self._some_moved = anyio.Event()
        self._some_run = anyio.Event()
        self._none_run = anyio.Event()
        self._started = anyio.Event()
        self._nursery: anyio.abc.TaskGroup
        self._loop: LoopEntry
        self.lost = False  # it was ended before some attempt could say how that ended

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
            loop=self._loop,
            last_attempt=record.retries >= self._declared.retry_policy.retries,
            limits=self._limits,
            resumed=run.checkpoint,
            save=self._save,
        )
        if told is not None:
            attempt.stop(told)
        self._attempts[record.id] = attempt
        self._some_run.set()
        place = self._free.pop() if self._free else self._new_place()
        place.give_nowait(attempt)

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
        self._loop = LoopEntry()
        async with anyio.create_task_group() as self._nursery:
            self._nursery.start_soon(self._report_progress)
            if self._declared.timeout is not None:
                self._nursery.start_soon(self._watch_timeouts, self._declared.timeout)
            self._started.set()
            await anyio.sleep_forever()

    async def wait_started(self) -> None:
        """Wait until it can be given something to run."""
        await self._started.wait()

    async def wait_idle(self) -> None:
        """Wait until no body runs."""
        while self._attempts:
            self._none_run = anyio.Event()
            await self._none_run.wait()

    # -- places ----------------------------------------------------------------------------------

    def _new_place(self) -> Place:
        place = Place(
            carry_out=self._bodies.carry_out if self._tracer is None else self._carry_out_traced,
            post=self._post,
            overdue=self._report_if_overdue,
            cancel_grace=self._declared.cancel_grace,
            over=self._note_over,
        )
        self._nursery.start_soon(place.run)
        return place

    async def _carry_out_traced(self, attempt: Attempt) -> Outcome:
        assert self._tracer is not None
        with noted(self._tracer, attempt.record) as ended:
            outcome = await self._bodies.carry_out(attempt)
            ended(outcome)
            return outcome

    def _note_over(self, place: Place, attempt: Attempt) -> None:
        attempt.over = True
        self.lost = self.lost or attempt.outcome is None
        self._free.append(place)
        del self._attempts[attempt.record.id]
        self._moved.pop(attempt.record.id, None)
        if not self._attempts:
            self._none_run.set()

    async def _save(self, task_id: str, attempt: int, checkpoint: msgspec.Raw) -> None:
        reply: OneReply[None] = OneReply()
        await self._post(Save(task_id, attempt, checkpoint, reply))
        await reply.wait()

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

    async def _report_if_overdue(self, attempt: Attempt, wait: float = 0) -> None:
        await anyio.sleep(wait)
        if attempt.over or attempt.overdue:
            return
        attempt.overdue = True
        record = attempt.record
        log.error(
            "%s of type %s was told to stop and has not, after %g s; it is here:\n%s",
            record.id,
            record.type,
            self._declared.cancel_grace,
            "\n".join(stack_of(coroutine) for coroutine in attempt.coroutines()),
        )
        await self._post(Overdue(record.id, record.attempt, self._declared.cancel_grace))
