"""What one follower is still to be told: what it has missed, then what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType

import anyio
import msgspec

from ..engine.engine import TaskEngine
from ..engine.errors import EventsMissed
from ..engine.lifecycle import TaskStatus
from ..engine.records import TaskEvent, TaskRecord
from ..engine.search import Search
from . import frames
from .feed import Feed, Filter, Key, Place, concerns

PORTION = 128 * 1024  # bytes that are handed over at once, about
SLICE = 200  # changes of the history that are looked at before others have their turn
SENDS_PER_SECOND = 2_000  # that one topic may take, about
LONGEST_PAUSE = 1.0  # seconds
_SHORT = 0.002  # seconds that are not worth a pause
_GONE = (
    "What has changed since is not known any more: load anew what you show. It goes on from here."
)


class Follower:
    """Follows all tasks that pass a filter, or one task to its end; a context manager.

    after: the number of the last change that the client knows; None: what comes from now on.
    Nothing after that is left out and nothing comes twice, or a `reset` says so. `give_up` is
    called when it has fallen too far behind to be told of everything.
    """

    def __init__(self, engine: TaskEngine, feed: Feed, key: Key, after: int | None) -> None:
        self._engine = engine
        self._feed = feed
        self._key = key
        self._after = after
        self._topic = feed.join(key)
        self._now = engine.seq  # from here on the topic has everything
        self._place = Place(self._topic)
        self._task: TaskRecord | None = None  # the one that is followed, as far as was told
        self._seq = 0  # of the last change that it knows of
        self._before: dict[str, TaskRecord | None] = {}  # as far as it has looked back
        self._pieces = self._all()
        self.ended = False

    def __enter__(self) -> Follower:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Follow no longer."""
        self._feed.leave(self._key, self._topic, self._place)

    def begin_with(self, task: TaskRecord) -> None:
        """Tell of the one task; it must have been got after this follower was made."""
        self._task = task

    def on_lost(self, give_up: Callable[[], None]) -> None:
        """Have this called when it has fallen too far behind."""
        self._place.on_lost = give_up

    def take(self) -> bytes | None:
        """Give what is there by now, in portions: b"" if it has to look further, None if nothing.

        After None there will be more only after `wait`.
        """
        taken: list[bytes] = []
        size = 0
        self._place.busy = True
        for piece in self._pieces:
            if piece is None:
                self._place.busy = bool(taken)
                return b"".join(taken) if taken else None
            taken.append(piece)
            size += len(piece)
            if not piece or size >= PORTION:
                break
        else:
            self.ended = True
        return b"".join(taken)

    async def pause(self) -> None:
        """Let time pass after it was sent something, if there are many; then take all that came.

        So one follower hears of every change as it is kept, and thousands of followers of a busy
        topic leave time for everything else.
        """
        await _sleep(min(len(self._topic.places) / SENDS_PER_SECOND, LONGEST_PAUSE))

    async def wait(self) -> None:
        """Wait for the next change, or the end."""
        await self._topic.wait()

    async def take_turn(self) -> None:
        """Wait again after that: of many, each a little longer, for they were all woken at once."""
        turn = self._place.number % max(len(self._topic.places), 1)
        await _sleep(min(turn / SENDS_PER_SECOND, LONGEST_PAUSE))

    # -- what it is told, in its order -----------------------------------------------------------

    def _all(self) -> Iterator[bytes | None]:
        """Give pieces; b"" where others should have their turn, None where there is nothing yet."""
        yield from self._beginning()
        yield from self._missed()
        while self._task is None or not self._is_over():
            told = self._place.take()
            if told is None:
                if self._topic.closed or self._place.lost:
                    return
                yield None
            elif told.event.seq > self._seq:
                self._know(told.event)
                yield told.frame
                if told.event.removed and isinstance(self._key, str):
                    return
        yield frames.end(self._task)

    def _is_over(self) -> bool:
        """Whether the one task has ended, and nothing more has changed since (a retry, say)."""
        return self._task is not None and self._task.final and not self._place.has_more(self._seq)

    def _beginning(self) -> Iterator[bytes]:
        task, after, now = self._task, self._after, self._now
        if after is None:
            self._seq = now
            yield frames.RETRY + frames.ready(now)
            if task is not None:
                yield self._present(task)
        elif after > now or not self._is_kept(after):
            self._seq = now
            yield frames.RETRY + frames.ready(now) + frames.reset(now, _GONE)
            if task is not None:
                yield self._present(task)
        else:
            self._seq = after
            yield frames.RETRY + frames.ready(after)

    def _present(self, task: TaskRecord) -> bytes:
        self._seq = max(self._seq, task.seq)
        return frames.frame_of(TaskEvent(task.seq, task.id, task))

    def _is_kept(self, after: int) -> bool:
        """Whether every change after this one is known still, of what is followed."""
        if self._task is not None and self._task.seq <= after:
            return True
        try:
            self._engine.events_until_now(after=after, at_most=0)
        except EventsMissed:
            return False
        return True

    def _missed(self) -> Iterator[bytes]:
        """Look through the history, up to where this follower was made."""
        while self._seq < self._now:
            if self._task is not None and self._task.seq <= self._seq:
                break  # nothing there is about it
            try:
                events = self._engine.events_until_now(after=self._seq, at_most=SLICE)
            except EventsMissed:  # it was too slow
                self._seq = self._now
                yield frames.reset(self._now, _GONE)
                if self._task is not None:
                    yield self._present(self._task)
                break
            for event in events:
                concerned = self._concerns(event)
                self._seq = event.seq
                if concerned:
                    self._know(event)
                    yield frames.frame_of(event)
                    if event.removed and isinstance(self._key, str):
                        return
            yield b""
        self._before.clear()

    def _know(self, event: TaskEvent) -> None:
        self._seq = event.seq
        if isinstance(self._key, str) and event.record is not None:
            self._task = event.record

    def _concerns(self, event: TaskEvent) -> bool:
        """Whether a change of the history is one of the topic."""
        key = self._key
        if isinstance(key, str):
            return event.task_id == key
        if key == (None, None):
            return True
        unknown = event.task_id not in self._before
        before = self._before.get(event.task_id)
        self._before[event.task_id] = event.record
        return concerns(event, before, key) or (unknown and _may_have_passed(event, key))


async def _sleep(seconds: float) -> None:
    if seconds > _SHORT:
        await anyio.sleep(seconds)


def _may_have_passed(event: TaskEvent, wanted: Filter) -> bool:
    """Whether a task, of which nothing older is known, may have passed the filter before."""
    record = event.record
    if record is None:
        return True
    new = record.status is TaskStatus.PENDING and record.updated_at == record.created_at
    if new:
        return False
    if isinstance(wanted, Search):  # what it asks for may have changed, but for these
        return msgspec.structs.replace(wanted, statuses=None, words=()).matches(record)
    return wanted[0] in {None, record.type}
