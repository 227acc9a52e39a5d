"""What an embedding program may set about an engine, with defaults that are safe."""

from __future__ import annotations

from datetime import timedelta

import msgspec

MIB = 2**20


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds beyond which something is refused, by name. Sizes are bytes of JSON."""

    max_params_bytes: int = 16 * MIB  # a submit beyond it raises InvalidParameters
    max_result_bytes: int = 256 * MIB  # a task beyond it fails and says so
    mailbox: int = 1024  # messages to the supervisor before senders wait
    events_kept: int = 10_000  # changes that a follower may fall behind


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long final tasks are kept; pending and running ones always are. None: for ever."""

    max_age: timedelta | None = timedelta(days=7)
    max_count: int | None = 100_000  # of final tasks; the ones that ended first go first
    every: timedelta = timedelta(minutes=10)  # how often the engine looks
