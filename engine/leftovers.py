"""What still runs of a body that has ended: the children of a task group that it never left.

That happens to an async generator with `async with anyio.create_task_group()` inside that is left
by `break`, and to a group that is entered by hand. Neither loop ends such children by itself:
asyncio forgets them, trio cancels them and does not wait.

One case is beyond us, and beyond any program on trio 0.35: such a generator, with children at work,
that is collected while its body goes on to await something else. Trio then closes it in another
coroutine, and when the children end it wakes the body instead of that one: the whole run ends in a
TrioInternalError or never ends. On asyncio it costs no more than that body.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio

_FIRST_LOOK, _LAST_LOOK = 0.001, 0.1  # seconds between looks: neither loop tells of their end


class Leftovers:
    """The children that a body left running. They have been cancelled; this waits for their end.

    Known are those that were started in a group that the body itself entered. Out of reach are what
    asyncio lends without a group (create_task, ensure_future), and what a child of the body, rather
    than the body, left running: the loops keep no record of whose they are.
    """

    def __init__(self) -> None:
        """Look, from the very coroutine that ran the body and before it ends; later is too late."""
        self._host = anyio.get_current_task().id
        self._coroutines: set[Any] = set()
        self._look()

    def running(self) -> list[Any]:
        """The coroutines that have not ended, also those that were started since."""
        if self._coroutines:
            self._look()  # while one of them lives, the number of its host is given to no other
        return list(self._coroutines)

    async def wait_ended(self) -> None:
        """Wait until none of them runs."""
        pause = _FIRST_LOOK
        while self.running():
            await anyio.sleep(pause)
            pause = min(pause * 2, _LAST_LOOK)

    def interrupt(self) -> None:
        """Cancel them by a way that no shield bars, as far as there is one.

        On asyncio a scope with a shield that was left open hides the cancellation from all in it.
        On trio it does not: there a group is cancelled itself when its host ends.
        """
        if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
            for task in asyncio.all_tasks():
                if task.get_coro() in self._coroutines:
                    task.cancel()

    def _look(self) -> None:
        self._coroutines |= {
            task.coro for task in anyio.get_running_tasks() if task.parent_id == self._host
        }
        self._coroutines = {
            coroutine
            for coroutine in self._coroutines
            if coroutine.cr_frame is not None  # it has not ended
        }
