# Written by `python -m tests.client_twins`: change its twin, async_follower.py, and run that.

"""Following tasks: one event after the other, over broken connections and restarts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

import httpx2

from .calls import Answer, get_task, list_tasks, path_of_task
from .connection import Connection
from .doubts import Doubts
from .errors import (
    ClientError,
    NoAnswerInTime,
    NotFound,
    NotUnderstood,
    ServerTrouble,
    Unreachable,
)
from .events import Changed, Ended, Event, FrameReader, Ready, read_event
from .patience import Patience
from .sending import in_query
from .settings import CONNECT_TIMEOUT, FAILURES, headers_of

SILENCE = 45.0  # seconds; the server pings every 15
# Seconds until the first word, which the server says at once, and between two on that first stream:
# the timeout of a request stays as it was.
FIRST_WORD = 20.0
HOLD = 30.0  # seconds that a long poll is held, where there are no events
NO_STREAM = "Task not found"  # the title of a 404 that is about the task, not about the path
# Seconds between long polls, and between streams that end in good order, for the sake of the
# server: a task may change all the time, and `retry: 0` says that there is no need to wait.
PAUSE = 0.05


class Follower:
    """The changes of one task, or of all that match, as they happen.

    Iterate over it, in an `with` block. After a break it goes on where it was, so that no
    change is missed or told twice; if the server does not know any more what was missed, a Reset
    says so. It raises what ended it: an Unreachable or a ServerTrouble only after it has tried for
    `patience` seconds. One task is polled where streams do not come through (`Doubts`).
    """

    def __init__(
        self,
        connection: Connection,
        task_id: str | None,
        query: dict[str, str],
        *,
        last_event_id: int | None,
        patience: float,
        on_interruption: Callable[[ClientError], object] | None,
    ) -> None:
        self._connection = connection
        self._task_id = task_id
        self._query = query
        self._seq = last_event_id
        self._patience = Patience(patience)
        self._doubts = Doubts()
        self._on_interruption = on_interruption
        self._response: httpx2.Response | None = None
        self._pieces: Iterator[bytes] | None = None
        self._reader = FrameReader()
        self._ready: deque[Event] = deque()
        self._over = False
        self._polling = False
        self._polled = False
        self._heard = False  # an event, on this stream: a proxy may write comments of its own
        self._waited = 0.0  # seconds for the next one
        self._silence = FIRST_WORD  # seconds that are borne: more once streams come through

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop following; the task goes on."""
        self._over = True
        self._hang_up()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while not self._ready:
            if self._over:
                self._hang_up()
                raise StopIteration
            self._listen()
        event = self._ready.popleft()
        self._over = self._over or isinstance(event, Ended)
        return event

    def _listen(self) -> None:
        """Wait for something to come, and sort out what comes in its stead."""
        try:
            if self._polling:
                self._poll()
            elif self._doubts.want_an_answer:
                self._ask_otherwise()
            else:
                self._stream()
        except (Unreachable, ServerTrouble) as failure:
            self._hang_up()
            new = self._patience.new
            pause = self._patience.pause_after(failure, time.monotonic())
            if pause is None:
                named = self._doubts.named(self._connection.settings.url, failure)
                raise named from named.__cause__
            if new and self._on_interruption is not None:
                self._on_interruption(failure)
            time.sleep(pause)

    def _stream(self) -> None:
        """Open a stream, or take what it says. Where none comes through, poll from now on."""
        try:
            if self._pieces is None:
                self._open()
            else:
                self._take(self._pieces)
        except (Unreachable, ServerTrouble) as failure:
            if self._heard:
                raise
            self._doubts.ended(failure)
            if self._task_id is None or not self._doubts.well_founded:
                raise
            self._hang_up()
            self._polling = True

    def _ask_otherwise(self) -> None:
        """Ask something that has an answer at once, to learn whether only streams do not come."""
        if self._task_id is None:
            self._connection.carry_out_once(list_tasks(limit=1))
        else:
            task = self._connection.carry_out_once(get_task(self._task_id))
            # Later, it would hide the changes between, which a stream may still tell.
            if self._seq is None and task.seq:
                self._seq = task.seq
                self._ready.append(Ended(task) if task.final else Changed(task))
        self._doubts.answered()

    def _open(self) -> None:
        settings = self._connection.settings
        if self._heard:
            self._silence = SILENCE
        self._heard = False
        self._waited = 0.0
        where = "/api/tasks/events" if self._task_id is None else self._path_of_task()
        headers = {"accept": "text/event-stream", "cache-control": "no-store"}
        if self._seq is not None:
            headers["last-event-id"] = str(self._seq)
        http = self._connection.http
        request = http.build_request(
            "GET",
            settings.url + where,
            params=in_query(self._query),
            headers=headers,
            timeout=httpx2.Timeout(self._silence, connect=CONNECT_TIMEOUT),
        )
        try:
            response = http.send(request, stream=True)
        except httpx2.ReadTimeout:
            self._bear_silence()
            return
        except FAILURES as error:
            failure = settings.no_answer(error, self._silence)
            raise failure from failure.__cause__
        self._response, self._reader = response, FrameReader()
        streams = "text/event-stream" in response.headers.get("content-type", "")
        if response.status_code == 200 and streams:
            self._pieces = response.iter_bytes()
            return
        try:
            content = response.read()
        except FAILURES as error:
            raise settings.no_answer(error, self._silence) from None
        finally:
            self._hang_up()
        self._do_without(Answer(response.status_code, headers_of(response), content))

    def _do_without(self, answer: Answer) -> None:
        """Poll, where the server is of an age without events; else say what it said."""
        fault = self._connection.settings.refused(answer)
        if isinstance(fault, NotFound):
            absent = fault.title != NO_STREAM
        else:
            absent = isinstance(fault, NotUnderstood)
        if not absent or self._task_id is None:
            raise fault
        self._polling = True

    def _take(self, pieces: Iterator[bytes]) -> None:
        began = time.monotonic()
        try:
            piece = next(pieces)
        except StopIteration:
            self._begin_anew()
            return
        except httpx2.ReadTimeout:
            self._bear_silence()
            return
        except FAILURES as error:
            raise self._connection.settings.no_answer(error, self._silence) from None
        self._waited += time.monotonic() - began
        frames = self._reader.feed(piece)
        if frames:
            self._heard, self._waited = True, 0.0
            self._doubts.dispel()
            self._patience.heard()
        elif self._waited >= self._silence:
            self._bear_silence()
        for frame in frames:
            event = read_event(frame)
            if frame.seq is not None:
                self._seq = frame.seq
            if isinstance(event, Ready):
                self._seq = event.seq
            elif event is not None:
                self._ready.append(event)

    def _bear_silence(self) -> None:
        """Go on some other way if there is one; raises NoAnswerInTime if there is none."""
        told = f"{self._connection.settings.url} told nothing for {self._silence:.0f} s"
        if self._heard and self._silence < SILENCE:
            self._begin_anew()
        elif self._heard:
            raise NoAnswerInTime(f"the stream of {told}") from None
        elif self._task_id is None:
            raise NoAnswerInTime(
                f"the stream of {told}, not even that it is ready: the server is held up, or a "
                "proxy holds event streams back"
            ) from None
        else:
            self._hang_up()
            self._polling = True

    def _begin_anew(self) -> None:
        """Connect again, as the server or a proxy has ended the stream in good order."""
        alive, pause = self._heard, max(PAUSE, self._reader.retry)
        self._hang_up()
        if not alive:
            raise Unreachable(f"{self._connection.settings.url} ended the stream at once")
        time.sleep(pause)

    def _poll(self) -> None:
        """Ask for the task once it has changed."""
        assert self._task_id is not None
        first, self._polled = not self._polled, True  # what is known then may be of another task
        task = self._connection.carry_out_once(
            get_task(self._task_id, wait=None if first else HOLD)
        )
        self._patience.heard()
        known = task.seq == self._seq or (first and self._seq is not None and task.seq < self._seq)
        new = not known or not task.seq  # an older server gives none
        self._seq = task.seq
        if task.final or new:
            self._ready.append(Ended(task) if task.final else Changed(task))
        if not first:
            time.sleep(PAUSE)

    def _path_of_task(self) -> str:
        assert self._task_id is not None
        return path_of_task(self._task_id, "/events")

    def _hang_up(self) -> None:
        pieces, self._pieces = self._pieces, None
        response, self._response = self._response, None
        if response is not None:
            response.close()
        # httpx2 leaves generators behind that trio complains about: let each see that it is over.
        with suppress(StopIteration, *FAILURES):
            while pieces is not None:
                next(pieces)
