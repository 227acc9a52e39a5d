"""What an embedding program may set about an engine, with defaults that are safe."""

from __future__ import annotations

from datetime import timedelta

import msgspec

MIB = 2**20


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds beyond which something is refused by name, or cut so that one sees it.

    `docs/limits.md` lists them all. Sizes are bytes of JSON. Raises ValueError for a bound that
    nothing could work under.
    """

    max_params_bytes: int = 16 * MIB  # a submit beyond it raises InvalidParameters
    max_result_bytes: int = 256 * MIB  # a task beyond it fails and says so
    max_checkpoint_bytes: int = 16 * MIB  # ctx.checkpoint raises TooLarge beyond it
    max_message_chars: int = 1_000  # of a progress message: cut, and the rest is counted
    max_error_chars: int = 4_000  # cut likewise
    max_traceback_chars: int = 20_000  # cut at its beginning, since the end tells most
    max_log_lines: int = 500  # of a task's log; the oldest go, and are counted
    max_log_bytes: int = 16_000  # of its log as JSON, likewise
    mailbox: int = 1024  # messages to the supervisor before senders wait
    events_kept: int = 10_000  # changes that a follower may fall behind

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value: object = getattr(self, name)
            least = 100 if name.endswith("_chars") else 2 if name.endswith("_bytes") else 1
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(
                    f"Limits.{name} must be a whole number of {least} or more, not {value!r}"
                )


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long final tasks are kept; pending and running ones always are. None: for ever.

    Raises ValueError for what cannot be meant.
    """

    max_age: timedelta | None = timedelta(days=7)
    max_count: int | None = 100_000  # of final tasks; the ones that ended first go first
    every: timedelta = timedelta(minutes=10)  # how often the engine looks

    def __post_init__(self) -> None:
        age: object = self.max_age
        count: object = self.max_count
        every: object = self.every
        if age is not None and not (isinstance(age, timedelta) and age >= timedelta(0)):
            raise ValueError(f"Retention.max_age must be a timedelta of 0 or more, not {age!r}")
        if count is not None and (type(count) is not int or count < 0):
            raise ValueError(
                f"Retention.max_count must be a whole number of 0 or more, not {count!r}"
            )
        if not (isinstance(every, timedelta) and every > timedelta(0)):
            raise ValueError(f"Retention.every must be a timedelta over 0, not {every!r}")
