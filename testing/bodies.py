"""The bodies of the types under test: each is known while it runs, and may be sabotaged."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import anyio
import msgspec

from ..engine.failures import stack_of
from ..engine.registry import TaskType
from ..engine.retrying import RetryPolicy
from .watch import BODY, RunningBody, Watch


class InjectedFault(Exception):
    """What a sabotaged body raises."""


class Sabotage(msgspec.Struct, frozen=True):
    """What is to go wrong with one body, and at which of its steps; 0: not at all."""

    raise_at: int = 0
    hang_at: int = 0
    cancel_at: int = 0  # that its task is cancelled
    linger: float = 0.0  # seconds for which it ignores that it is stopped


class Saboteur(Protocol):
    """Decides what goes wrong with each body."""

    def sabotage(self, body: RunningBody) -> Sabotage:
        """What is to go wrong with this one."""
        ...

    def happened(self, name: str) -> None:
        """It did."""
        ...


class Ended(msgspec.Struct, frozen=True):
    """How a body ended: `result` is the JSON of what it returned."""

    task_id: str
    attempt: int
    result: bytes | None


class LiveBodies:
    """Every body that runs at this moment, and who wants to know of their steps."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._saboteur: Saboteur | None = None
        self._calm = False
        self.live: dict[tuple[str, int], RunningBody] = {}
        self.hung = anyio.Event()  # set when those that hang are to go on
        self.hanging = 0
        self.on_begin: Callable[[RunningBody], None] = _nothing
        self.on_step: Callable[[RunningBody], None] = _nothing
        self.on_end: Callable[[Ended], None] = _nothing
        self.cancel: Callable[[str], None] = _nothing  # this task, as it was sabotaged so

    def employ(self, saboteur: Saboteur | None) -> None:
        """From now on this one decides what goes wrong; None: nothing does."""
        self._saboteur = saboteur

    def calm(self) -> None:
        """From now on nothing goes wrong, whatever was planned; and who hangs goes on."""
        self._calm = True
        self.release()

    def release(self) -> None:
        """Let the bodies that hang go on."""
        self.hung.set()
        self.hung = anyio.Event()

    def all_gone(self) -> None:
        """The power failed: none of them runs any more."""
        self.live.clear()
        self.hanging = 0

    def where_they_are(self, spins: Callable[[RunningBody], bool]) -> list[str]:
        """The stack of each body that runs, as lines of text."""
        lines = []
        for body in self.live.values():
            lines.append(f"{body.task_id} {'spins' if spins(body) else 'waits'} here:")
            lines += stack_of(body.coroutine).splitlines()
        return lines

    @contextmanager
    def known(self, task_types: Iterable[TaskType[Any, Any]]) -> Iterator[None]:
        """Within the block the bodies of these types are known while they run, and all that is
        theirs is watched.
        """
        originals = [(declared, declared.body, declared.retry_policy) for declared in task_types]
        for declared, body, policy in originals:
            wrap = self._in_process if declared.runs == "process" else self._in_loop
            declared.body = wrap(declared.name, body)
            declared.retry_policy = self._watched(declared.name, policy)
        try:
            yield
        finally:
            for declared, body, policy in originals:
                declared.body, declared.retry_policy = body, policy

    def _watched(self, task_type: str, policy: RetryPolicy) -> RetryPolicy:
        predicate = policy.retry_on
        if isinstance(predicate, type | tuple):
            return policy
        asked = RunningBody("retry_on", task_type, 0)

        def retry_on(error: Exception) -> bool:
            self._watch.look_at(asked)
            try:
                return predicate(error)
            finally:
                self._watch.look_away()

        return msgspec.structs.replace(policy, retry_on=retry_on)

    def _in_loop(self, task_type: str, body: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(body)
        async def run(ctx: Any, *arguments: Any) -> Any:
            with self._running(ctx, task_type) as known:
                known.coroutine = body(ctx, *arguments)
                result = await self._sabotaged(known, known.coroutine)
                self._say_ended(known, result)
                return result

        return run

    def _in_process(self, task_type: str, body: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(body)
        def run(ctx: Any, *arguments: Any) -> Any:
            with self._running(ctx, task_type) as known:
                result = body(ctx, *arguments)
                self._say_ended(known, result)
                return result

        return run

    @contextmanager
    def _running(self, ctx: Any, task_type: str) -> Iterator[RunningBody]:
        body = RunningBody(ctx.task_id, task_type, ctx.attempt)
        body.on_step = self.on_step
        self.on_begin(body)
        self.live[body.task_id, body.attempt] = body
        token = BODY.set(body)
        self._watch.look_at(body)  # for the rest of this step; then the loop tells of each
        try:
            yield body
        finally:
            self._watch.look_away()
            BODY.reset(token)
            self.live.pop((body.task_id, body.attempt), None)

    def _say_ended(self, body: RunningBody, result: Any) -> None:
        self._watch.look_away()
        try:
            encoded = msgspec.json.encode(result)
        except Exception:  # noqa: BLE001  the engine will say so, in the record
            encoded = None
        self.on_end(Ended(body.task_id, body.attempt, encoded))

    async def _sabotaged(self, body: RunningBody, coroutine: Any) -> Any:
        if self._saboteur is None:
            return await coroutine
        saboteur = self._saboteur
        plan = saboteur.sabotage(body)
        with anyio.CancelScope() as scope:
            self._arm(body, plan, scope)
            try:
                return await coroutine
            except anyio.get_cancelled_exc_class():
                if plan.linger and not scope.cancel_called:
                    saboteur.happened("body_lingers")
                    with anyio.CancelScope(shield=True):
                        await anyio.sleep(plan.linger)
                raise
        if plan.hang_at and body.steps >= plan.hang_at:
            saboteur.happened("body_hangs")
            self.hanging += 1
            try:
                await self.hung.wait()
            finally:
                self.hanging -= 1
        saboteur.happened("body_raises")
        raise InjectedFault(f"{body.task_id} was made to fail at its step {body.steps}")

    def _arm(self, body: RunningBody, plan: Sabotage, scope: anyio.CancelScope) -> None:
        """Take the body out of its own code, or cancel its task, at the steps that are planned."""
        out_at = min(filter(None, (plan.raise_at, plan.hang_at)), default=0)
        if not out_at and not plan.cancel_at:
            return

        def on_step(stepping: RunningBody) -> None:
            self.on_step(stepping)
            if self._calm:
                return
            if stepping.steps == out_at:
                scope.cancel()
            if stepping.steps == plan.cancel_at:
                self.cancel(stepping.task_id)

        body.on_step = on_step


def _nothing(*ignored: object) -> None:
    del ignored
