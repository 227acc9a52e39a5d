"""A place: where the bodies of one task type run, one after another.

It hears   an Attempt  from its worker, when it is free
It says    Succeeded  Failed  Stopped   to the supervisor

It stands: one coroutine runs body after body, each in a cancel scope of its own, at a third of the
cost of a coroutine for each. So a body could harm the next one, by what it leaves behind in that
coroutine. It does not, because then the coroutine is given up and another takes its place:

- A cancel scope or task group that is still open (bodies.py notices) would cover whatever
  runs there later.
- A context variable that was set would be seen by the next body.
- A cancellation of asyncio's own that comes late (asyncio.current_task().cancel(), and the end of
  an asyncio.timeout that was entered and never left) ends the coroutine between two bodies. If it
  comes while another body runs, that one fails with it: nothing on that loop tells whose it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context

import anyio
import anyio.abc
import anyio.lowlevel

from .attempts import Attempt
from .current import SEAT
from .messages import Heard, Outcome
from .records import TaskRecord


class Place:
    """Runs the attempts that it is given, one at a time."""

    def __init__(
        self,
        *,
        carry_out: Callable[[Attempt], Awaitable[Outcome]],
        post: Callable[[Heard], Awaitable[None]],
        overdue: Callable[[Attempt], Awaitable[None]],
        cancel_grace: float,
        over: Callable[[Place, Attempt], None],
    ) -> None:
        """Declare a place.

        overdue: called for leftovers that do not stop. over: called when nothing of an attempt runs
        any more, before its outcome is posted; from then on the place may be given another.
        """
        self._carry_out = carry_out
        self._post = post
        self._overdue = overdue
        self._cancel_grace = cancel_grace
        self._over = over
        # Both are kept here until they are dealt with: the coroutine may be ended at any await.
        self._attempt: Attempt | None = None
        self._unsaid: Outcome | None = None
        self._given = anyio.Event()

    @property
    def occupant(self) -> TaskRecord | None:
        """The task whose body runs here now."""
        return None if self._attempt is None else self._attempt.record

    def give_nowait(self, attempt: Attempt) -> None:
        """Have it run this attempt next; only for a place that is free."""
        assert self._attempt is None
        self._attempt = attempt
        self._given.set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                await self._run_bodies_until_spoilt()
                await anyio.lowlevel.checkpoint_if_cancelled()
                attempt = self._attempt
                if attempt is not None and attempt.outcome is not None:
                    await self._wait_stopped(attempt)
                    await self._finish(attempt, attempt.outcome)
                await self._say()
        finally:
            if self._attempt is not None:
                self._over(self, self._attempt)

    async def _run_bodies_until_spoilt(self) -> None:
        try:
            # Whatever has become of that coroutine and its scopes, none of it gets out of here.
            async with anyio.create_task_group() as block:
                block.start_soon(self._run_bodies)
        except BaseExceptionGroup as group:
            if self._attempt is None or self._attempt.leftovers is None:
                error = group.exceptions[0]  # there is but one coroutine
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise  # bare, it would throw asyncio out of the cleaning up of all other tasks
                raise error from None
            # Each loop complains once more of the scopes that were left open; it was said already.

    async def _run_bodies(self) -> None:
        SEAT.set(self)
        context = copy_context()
        while _is_current(context):
            attempt = self._attempt
            if attempt is None:
                self._given = anyio.Event()
                await self._given.wait()
                continue
            try:
                attempt.outcome = await self._carry_out(attempt)
            finally:
                if attempt.outcome is not None and attempt.leftovers is None:
                    await self._finish(attempt, attempt.outcome)
            if attempt.leftovers is not None:
                return

    async def _finish(self, attempt: Attempt, outcome: Outcome) -> None:
        self._attempt, self._unsaid = None, outcome
        self._over(self, attempt)
        await self._say()

    async def _say(self) -> None:
        """Post what has not been; twice is harmless, as only the first outcome counts."""
        if self._unsaid is not None:
            await self._post(self._unsaid)
            self._unsaid = None

    async def _wait_stopped(self, attempt: Attempt) -> None:
        """Wait for the children that the body left running, as their group would have."""
        assert attempt.leftovers is not None
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(self._cancel_grace):
                await attempt.leftovers.wait_ended()
                return
            await self._overdue(attempt)
            attempt.leftovers.interrupt()
            await attempt.leftovers.wait_ended()


def _is_current(context: Context) -> bool:
    """Whether no context variable has been set or reset since; quick where that is so."""
    try:
        return copy_context() == context
    except BaseException:  # noqa: BLE001  what was set may not like to be compared
        return False
