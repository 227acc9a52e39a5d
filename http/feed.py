"""Changes of tasks on their way to those who follow them, however many these are.

A change is looked at once, and encoded once. It is added to the topics that it belongs to (of its
task, and of the filters that it passes), where those who follow the topic find it. A topic that
nobody follows does not exist; a follower of another one is not woken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import anyio

from ..engine.engine import TaskEngine
from ..engine.records import TaskEvent, TaskRecord
from ..engine.search import Search
from .frames import frame_of

# Of one task: its id. Of all tasks of a type and a status, None being any; or that fit a search.
Filter: TypeAlias = tuple[str | None, str | None] | Search
Key: TypeAlias = str | Filter

MOST_BEHIND = 50_000  # changes that may have come while a client is still sent earlier ones
_LOOK = 256  # changes of a topic between two looks for those who are behind


class Told:
    """One change, as all who follow it are told."""

    __slots__ = ("_frame", "event")

    def __init__(self, event: TaskEvent) -> None:
        self.event = event
        self._frame: bytes | None = None

    @property
    def frame(self) -> bytes:
        """Give it as a server-sent event; encoded for the first who asks."""
        if self._frame is None:
            self._frame = frame_of(self.event)
        return self._frame


class Link:
    """A change of a topic. Each follower holds the last that it took: older ones are let go."""

    __slots__ = ("next", "number", "told")

    def __init__(self, number: int, told: Told | None) -> None:
        self.number = number
        self.told = told
        self.next: Link | None = None


class Topic:
    """The changes of one topic from now on."""

    def __init__(self) -> None:
        self.newest = Link(0, None)
        self.closed = False
        self.joined = 0
        self.places: dict[Place, None] = {}  # of all who follow it
        self._news: anyio.Event | None = None

    def add(self, told: Told) -> None:
        """Show a change, and wake who waits."""
        link = Link(self.newest.number + 1, told)
        self.newest.next = link
        self.newest = link
        self._wake()
        if not link.number % _LOOK:
            for place in list(self.places):
                if place.is_behind:
                    place.give_up()

    def close(self) -> None:
        """Nothing more will come."""
        self.closed = True
        self._wake()

    async def wait(self) -> None:
        """Wait for the next change, or the end."""
        if self._news is None:
            self._news = anyio.Event()
        await self._news.wait()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


class Place:
    """How far one follower of a topic has got."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._last = topic.newest
        self.on_lost: Callable[[], None] | None = None
        self.busy = False  # with what it has taken
        self.lost = False  # it was given up: there were changes that it will not be told of
        self.number = topic.joined  # in the order in which they came
        topic.joined += 1
        topic.places[self] = None

    @property
    def is_behind(self) -> bool:
        """Whether it has fallen so far behind that it must not hold on to what it did not take.

        Who has taken all that there was is never that, however much comes at once.
        """
        return self.busy and self._topic.newest.number - self._last.number > MOST_BEHIND

    def give_up(self) -> None:
        """Tell it no more."""
        self.lost = True
        self._last = self._topic.newest
        self._topic.places.pop(self, None)
        if self.on_lost is not None:
            self.on_lost()

    def has_more(self, seq: int) -> bool:
        """Whether there is a change after this one, to be taken."""
        newest = self._topic.newest.told
        return newest is not None and newest.event.seq > seq

    def take(self) -> Told | None:
        """Give the next change; None if there is none yet."""
        link = self._last.next
        if link is None:
            return None
        self._last = link
        return link.told


class Feed:
    """All topics that are followed. Listens to the engine while there are any."""

    def __init__(self, engine: TaskEngine) -> None:
        self._engine = engine
        self._topics: dict[Key, Topic] = {}
        self._searches: set[Search] = set()  # those of the topics that are one
        self._stop: Callable[[], None] | None = None

    def join(self, key: Key) -> Topic:
        """Give the topic. Raises EngineNotRunning, and StorageError once storage has failed."""
        if self._stop is None:
            self._stop = self._engine.listen(self)
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = Topic()
            if isinstance(key, Search):
                self._searches.add(key)
        return topic

    def leave(self, key: Key, topic: Topic, place: Place) -> None:
        """Forget a follower, and what nobody follows."""
        topic.places.pop(place, None)
        if not topic.places and self._topics.get(key) is topic:
            del self._topics[key]
            if isinstance(key, Search):
                self._searches.discard(key)
        if not self._topics and self._stop is not None:
            self._stop()
            self._stop = None

    def changed(self, event: TaskEvent, before: TaskRecord | None) -> None:
        """Add the change to the topics that it belongs to."""
        told = None
        searches = (each for each in self._searches if concerns(event, before, each))
        for key in (*topics_of(event, before), *searches):
            topic = self._topics.get(key)
            if topic is not None:
                told = told or Told(event)
                topic.add(told)

    def closed(self) -> None:
        """End all topics."""
        topics, self._topics, self._stop = self._topics, {}, None
        self._searches.clear()
        for topic in topics.values():
            topic.close()


def concerns(event: TaskEvent, before: TaskRecord | None, wanted: Filter) -> bool:
    """Whether the change is one of a topic. It is one too of a filter that its task passed until
    now: who lists must hear of it.
    """
    if isinstance(wanted, Search):
        return any(each is not None and wanted.matches(each) for each in (before, event.record))
    return wanted in topics_of(event, before)


def topics_of(event: TaskEvent, before: TaskRecord | None) -> set[Key]:
    """Give those to which the change belongs, but for searches; see `concerns`."""
    keys: set[Key] = {event.task_id, (None, None)}
    for record in (before, event.record):
        if record is not None:
            keys |= {(record.type, None), (None, record.status), (record.type, record.status)}
    return keys
