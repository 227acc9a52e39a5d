"""Webhooks: the actors that write down what is to be told, and tell it.

The recorder follows the engine's changes and puts what hooks are to be told into the outbox. For
each hook a courier takes from there what is due and posts it, a few at a time, so that a slow
receiver holds up nobody else's. Neither holds up a task, nor is waited for by one.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from ...engine.current import SURROUNDING
from ...engine.engine import TaskEngine
from ...engine.errors import CallerError, EventsMissed, StorageError
from ...engine.records import TaskRecord
from ...engine.surroundings import Clock, WallClock
from .continuity import keep_on
from .model import (
    Backlog,
    Delivery,
    DeliveryState,
    Hook,
    HookEvent,
    Outcome,
    Standing,
    after_attempt,
    body_of,
    end_of,
)
from .outbox import Outbox
from .signing import Secrets
from .targets import check_target

log = logging.getLogger("cortex_tasks.webhooks")

AT_ONCE = 4  # attempts of one hook
LOOK_AGAIN = 30.0  # seconds: the longest that a jump of the clock can delay an attempt
MAX_HOOKS = 100


class HookNotFound(CallerError):
    """No webhook has this id."""

    def __init__(self, hook_id: str) -> None:
        super().__init__(f"There is no webhook {hook_id!r}.")


class DeliveryNotFound(CallerError):
    """The webhook has no delivery of this id, or has forgotten it."""

    def __init__(self, delivery_id: str) -> None:
        super().__init__(f"There is no delivery {delivery_id!r} of this webhook.")


class TooManyHooks(CallerError):
    """There are as many webhooks as there may be."""


class Post(Protocol):
    """Makes one attempt; see Poster.post."""

    async def __call__(self, hook: Hook, delivery: Delivery, now: datetime, /) -> Outcome: ...


class Webhooks:
    """The hooks of one engine, and what they are told.

    `async with webhooks.running(engine)` opens the outbox, finds what ended since it was last
    open, and tells it. What is owed when the block is left stays in the outbox.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        post: Post,
        secrets: Secrets,
        clock: Clock | None = None,
        random: Random | None = None,
        look_again: float = LOOK_AGAIN,
        allow_private: bool = False,
    ) -> None:
        self._outbox = outbox
        self._post = post
        self._secrets = secrets
        self._clock = clock or WallClock()
        self._random = random or Random()  # noqa: S311  it spreads attempts and keeps no secret
        self._look_again = look_again  # inf for a clock that never jumps, as in tests
        self._allow_private = allow_private  # hooks may be added that are of this very network
        # Attempts since the start, by the id of the hook and by what became of the delivery.
        self.attempts: Counter[tuple[str, DeliveryState]] = Counter()
        self._hooks: dict[str, Hook] = {}
        self._couriers: dict[str, _Courier] = {}
        self._engine: TaskEngine
        self._nursery: TaskGroup
        self._position = 0

    @asynccontextmanager
    async def running(self, engine: TaskEngine) -> AsyncIterator[None]:
        """Tell what there is to tell, within this block; the engine must stay entered around it."""
        self._engine = engine
        failure: Exception | None = None
        await self._outbox.open()
        try:
            await keep_on(self._outbox, self._secrets)
            if await self._outbox.begin_anew_after(engine.seq):
                log.warning(
                    "the outbox knows of changes that these tasks have not seen: they are others, "
                    "or older ones. It goes on from the newest change that they know."
                )
            for hook in await self._outbox.hooks():
                self._hooks[hook.id] = hook
            self._position = await self._outbox.position()
            await self._catch_up()
            async with anyio.create_task_group() as self._nursery:
                for hook in self._hooks.values():
                    self._send_out(hook)
                self._nursery.start_soon(self._record)
                try:
                    yield
                except Exception as error:  # noqa: BLE001  raised again where no group wraps it
                    failure = error
                finally:
                    self._nursery.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._outbox.aclose()
            self._hooks.clear()
            self._couriers.clear()
        if failure is not None:
            raise failure

    # -- hooks -----------------------------------------------------------------------------------

    def hooks(self) -> list[Hook]:
        """Give all hooks, the oldest first."""
        return list(self._hooks.values())

    def hook(self, hook_id: str) -> Hook:
        """Give one; raises HookNotFound."""
        try:
            return self._hooks[hook_id]
        except KeyError:
            raise HookNotFound(hook_id) from None

    async def add(self, url: str, events: Iterable[HookEvent]) -> tuple[Hook, str]:
        """Keep a new hook; gives it and its secret. It is told what ends from now on.

        Raises TargetRefused, TooManyHooks.
        """
        check_target(url, allow_private=self._allow_private)
        if len(self._hooks) >= MAX_HOOKS:
            raise TooManyHooks(f"there are {MAX_HOOKS} webhooks already: remove one first")
        hook = Hook(
            id="wh_" + secrets.token_hex(12),
            url=url,
            events=tuple(dict.fromkeys(events)),
            created_at=self._clock.now(),
            since_seq=self._engine.seq,
        )
        await self._outbox.add_hook(hook)
        self._hooks[hook.id] = hook
        self._send_out(hook)
        return hook, self._secrets.of(hook.id)

    async def remove(self, hook_id: str) -> None:
        """Forget a hook and what it is owed; an attempt under way is cut off."""
        self.hook(hook_id)
        await self._outbox.remove_hook(hook_id)
        self._hooks.pop(hook_id, None)
        courier = self._couriers.pop(hook_id, None)
        if courier is not None:
            courier.scope.cancel()
        for state in DeliveryState:
            self.attempts.pop((hook_id, state), None)

    async def test(self, hook_id: str) -> Outcome:
        """Tell the hook something of no meaning, once and now; gives what came of it."""
        hook, now = self.hook(hook_id), self._clock.now()
        event_id = "evt_test_" + secrets.token_hex(8)
        said: dict[str, object] = {"message": "A test: no task has ended."}
        body = body_of(event_id, HookEvent.TEST, now, said)
        delivery = Delivery(
            id=event_id,
            hook_id=hook.id,
            event=HookEvent.TEST,
            task_id="",
            created_at=now,
            body=body,
        )
        return await self._post(hook, delivery, now)

    async def deliveries(
        self, hook_id: str, *, state: DeliveryState | None, limit: int
    ) -> list[Delivery]:
        """Give what the hook was and is to be told, the newest first; raises HookNotFound."""
        self.hook(hook_id)
        return await self._outbox.newest(hook_id, state=state, limit=limit)

    async def standings(self) -> dict[str, Standing]:
        """Give how each hook stands that has deliveries."""
        return await self._outbox.standings()

    async def backlogs(self) -> dict[str, Backlog]:
        """Give what each hook is still owed."""
        owed = await self._outbox.backlogs()
        return {hook_id: owed.get(hook_id, Backlog()) for hook_id in self._hooks}

    async def try_again(self, hook_id: str, delivery_id: str) -> Delivery:
        """Tell it again from now on, with all attempts before it; gives how it stands.

        Raises HookNotFound and DeliveryNotFound.
        """
        self.hook(hook_id)
        found = await self._outbox.find(hook_id, delivery_id)
        if found is None:
            raise DeliveryNotFound(delivery_id)
        again = Delivery(
            id=found.id,
            hook_id=found.hook_id,
            event=found.event,
            task_id=found.task_id,
            created_at=found.created_at,
            body=found.body,
            due_at=self._clock.now(),
        )
        await self._outbox.update(again)
        self._couriers[hook_id].wake()
        return again

    # -- the recorder ----------------------------------------------------------------------------

    async def _record(self) -> None:
        """Put into the outbox what the hooks are to be told, until the engine is left."""
        while True:
            try:
                events = self._engine.events(after=self._position)
                async for event in events:
                    # With all that has come meanwhile: one transaction for a busy moment.
                    batch = [event, *self._engine.events_until_now(after=event.seq)]
                    events.seq = batch[-1].seq
                    records = [each.record for each in batch if each.record is not None]
                    await self._put(records, position=events.seq)
            except EventsMissed:
                await self._catch_up()
            except StorageError as error:
                # Nothing is forgotten: it is found in the task records once there is room.
                log.error("webhooks cannot be written down: %s", error)  # noqa: TRY400  it says all
                await anyio.sleep(LOOK_AGAIN)
                await self._catch_up_if_possible()
            else:
                return

    async def _catch_up_if_possible(self) -> None:
        try:
            await self._catch_up()
        except StorageError as error:
            log.error("webhooks cannot be written down yet: %s", error)  # noqa: TRY400  it says all

    async def _catch_up(self) -> None:
        """Find in the records what ended after the position."""
        position = self._engine.seq
        if not self._hooks:
            self._position = position
            return
        page = await self._engine.list()
        missed = [each for each in page.records if each.final and each.seq > self._position]
        missed.sort(key=lambda record: record.seq)
        await self._put(missed, position=position)

    async def _put(self, records: Iterable[TaskRecord], *, position: int) -> None:
        ends = [
            delivery
            for record in records
            if record.final
            for hook in self._hooks.values()
            if (delivery := end_of(record, hook)) is not None
        ]
        # Where nobody is to be told anything, the file need not know how far we are: what it would
        # find again at the next start is older than any hook, or nothing that one asked for.
        if ends:
            await self._outbox.put(ends, position=position)
            for hook_id in {each.hook_id for each in ends}:
                if hook_id in self._couriers:
                    self._couriers[hook_id].wake()
        self._position = position

    # -- the couriers ----------------------------------------------------------------------------

    def _send_out(self, hook: Hook) -> None:
        courier = _Courier(
            hook,
            self._outbox,
            self._post,
            self.attempts,
            clock=self._clock,
            random=self._random,
            look_again=self._look_again,
        )
        self._couriers[hook.id] = courier
        self._nursery.start_soon(courier.run)


class _Courier:
    """Tells one hook what it is owed."""

    def __init__(
        self,
        hook: Hook,
        outbox: Outbox,
        post: Post,
        counted: Counter[tuple[str, DeliveryState]],
        *,
        clock: Clock,
        random: Random,
        look_again: float,
    ) -> None:
        self.scope = anyio.CancelScope()
        self._hook = hook
        self._outbox = outbox
        self._post = post
        self._counted = counted
        self._clock = clock
        self._random = random
        self._look_again = look_again
        self._under_way: set[str] = set()  # deliveries
        self._just_over: set[str] = set()
        self._woken = anyio.Event()

    def wake(self) -> None:
        """Look now: something new is due."""
        self._woken.set()

    async def run(self) -> None:
        """Post what is due, until cancelled."""
        SURROUNDING.set(None)  # the request that added the hook is not what is written about here
        with self.scope:
            async with anyio.create_task_group() as attempts:
                while True:
                    self._woken = anyio.Event()
                    try:
                        wait = await self._start_due(attempts)
                    except StorageError as error:
                        log.error("the outbox of webhooks fails: %s", error)  # noqa: TRY400  it says all
                        wait = LOOK_AGAIN
                    with anyio.move_on_after(wait):
                        await self._woken.wait()

    async def _start_due(self, attempts: TaskGroup) -> float:
        """Start what is due and may be; gives the seconds until more is."""
        free = AT_ONCE - len(self._under_way)
        if free == 0:
            return self._look_again  # or until one of them is over
        # What ends while the outbox is read may still be in what it gives.
        self._just_over.clear()
        found = await self._outbox.next_due(self._hook.id, AT_ONCE + free)
        passed_over = self._under_way | self._just_over
        waiting = [each for each in found if each.id not in passed_over]
        now = self._clock.now()
        for delivery in waiting[:free]:
            if delivery.due_at is not None and delivery.due_at > now:
                return min((delivery.due_at - now) / timedelta(seconds=1), self._look_again)
            self._under_way.add(delivery.id)
            attempts.start_soon(self._attempt, delivery)
        return self._look_again

    async def _attempt(self, delivery: Delivery) -> None:
        outcome = await self._post(self._hook, delivery, self._clock.now())
        told = after_attempt(delivery, outcome, self._clock.now(), self._random.random())
        self._counted[self._hook.id, told.state] += 1
        if told.state is DeliveryState.DEAD:
            log.warning(
                "webhook %s: %s of %s is given up after %d attempts: %s",
                *(self._hook.id, delivery.event, delivery.task_id, told.attempts, outcome.error),
            )
        try:
            await self._outbox.update(told)
        except StorageError as error:
            log.error("what came of a webhook is not kept: %s", error)  # noqa: TRY400  it says all
            # Told again rather than never; but not at once, while the disk is as it is.
            await anyio.sleep(LOOK_AGAIN)
        self._under_way.discard(delivery.id)
        self._just_over.add(delivery.id)
        self.wake()
