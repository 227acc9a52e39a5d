"""The bodies of a task type: each is run to its end, whatever end that is, and it is said which."""

from __future__ import annotations

import logging
from types import CoroutineType
from typing import Any

import anyio
import msgspec

from .attempts import Attempt
from .context import Children
from .errors import TooLarge
from .exact_json import Unwanted, is_large
from .failures import describe, plain_text, shallow, traceback_of
from .leftovers import Leftovers
from .messages import Failed, Outcome, Stopped, Succeeded
from .process_body import run_process_body
from .registry import TaskType
from .retrying import asked_wait
from .settings import Limits
from .surroundings import Offload

log = logging.getLogger("cortex_tasks.engine")

LEFT_OPEN = (
    "the body left a cancel scope or task group open (leave each in the block that entered it; "
    "close an async generator that has one inside with contextlib.aclosing)"
)
_EMPTY_RESULT = msgspec.Raw(b"{}")


class Bodies:
    """Carries out the attempts of one task type, in whatever coroutine it is called from."""

    def __init__(
        self, declared: TaskType[Any, Any], limits: Limits, encode: Offload, children: Children
    ) -> None:
        self._declared = declared
        self._limits = limits
        self._encode = encode
        self._children = children

    async def carry_out(self, attempt: Attempt) -> Outcome:
        """Run the body and give how it ended; never raises what the body raised.

        Sets `attempt.leftovers` if the body left a cancel scope or a task group open. Then the
        scopes of the caller's coroutine are spoilt too: end it, without another await.

        Raises the cancellation of the caller; and KeyboardInterrupt, which is meant for the whole
        program, having set `attempt.outcome`.
        """
        timeout = self._declared.timeout
        if timeout is not None:
            attempt.started_at = anyio.current_time()
            attempt.scope.deadline = attempt.started_at + timeout
        raised: BaseException | None = None
        try:
            with attempt.scope:
                if attempt.told is None:
                    try:
                        result = await self._run(attempt)
                    except BaseException as error:
                        raised = shallow(error)
                        if raised is error:
                            raise
                        raise raised from raised.__cause__
                    if not attempt.timed_out:
                        # Told or not: it finished before it heard, and the truth wins.
                        return _succeeded(attempt, result)
        except BaseException as error:
            if isinstance(raised, KeyboardInterrupt):
                attempt.outcome = _stopped(attempt, "KeyboardInterrupt")
                raise raised from None
            # Both loops refuse to leave our scope from within one that stands open in it.
            if error is not raised and isinstance(error, RuntimeError):
                return self._left_open(attempt, raised)
            if _cancels_the_caller(error):
                raise
            return self._raised(attempt, error)
        finally:
            raised = None  # it knows this frame by its traceback, and must not be known by it
        return _stopped(attempt, None) if attempt.told is not None else self._timed_out(attempt)

    async def _run(self, attempt: Attempt) -> msgspec.Raw:
        declared = self._declared
        if declared.runs == "process":
            encoded = await self._children.run(
                run_process_body,
                declared,
                bytes(attempt.params),
                attempt.record.id,
                attempt.record.attempt,
                attempt.ctx.last_attempt,
                None if attempt.resumed is None else bytes(attempt.resumed),
                on_progress=attempt.ctx.tell_from_child,
                on_save=attempt.ctx.checkpoint,
            )
        else:
            arguments = (declared.decode_params(attempt.params),) if declared.takes_params else ()
            body: CoroutineType[Any, Any, Any] = declared.body(attempt.ctx, *arguments)
            attempt.body = body
            result = await body
            if is_large(result):
                encoded = await self._encode_large(result, attempt)
            else:
                encoded = declared.encode_result(result)
        if encoded == b"null":  # clients take a null result for one that is still to come
            return _EMPTY_RESULT
        if len(encoded) > self._limits.max_result_bytes:
            raise TooLarge(
                f"the result is {len(encoded):,} bytes of JSON, over the limit of "
                f"{self._limits.max_result_bytes:,} (Limits.max_result_bytes)"
            )
        return msgspec.Raw(encoded)

    async def _encode_large(self, result: Any, attempt: Attempt) -> bytes:
        """Encode the result without holding up the loop; a stop ends that early."""

        def encode() -> bytes | None:
            try:
                return self._declared.encode_result(
                    result, in_pieces=True, go_on=lambda: attempt.told is None
                )
            except Unwanted:
                return None

        while (encoded := await self._encode(encode)) is None:
            await anyio.sleep_forever()  # until its scope, which has been cancelled, is left
        return encoded

    # -- what is said of the end -----------------------------------------------------------------

    def _raised(self, attempt: Attempt, error: BaseException, also: str = "") -> Outcome:
        record = attempt.record
        limit = self._limits.max_error_chars
        text = plain_text(describe(error, max(limit - len(also), limit // 2)) + also, limit)
        trace = traceback_of(error, self._limits.max_traceback_chars)
        if attempt.told is not None:
            log.warning("%s raised while it was stopping: %s\n%s", record.id, text, trace)
            return _stopped(attempt, text)
        log.warning("%s of type %s failed: %s\n%s", record.id, record.type, text, trace)
        return self._failed(attempt, error, text, trace)

    def _timed_out(self, attempt: Attempt, also: str = "") -> Outcome:
        record = attempt.record
        verdict = f"timed out after {self._declared.timeout:g} s{also}"
        verdict = plain_text(verdict, self._limits.max_error_chars)
        log.warning("%s of type %s %s", record.id, record.type, verdict)
        return self._failed(attempt, TimeoutError(verdict), verdict)

    def _left_open(self, attempt: Attempt, raised: BaseException | None) -> Outcome:
        """Fail the body for what it left open, cancel all in there, and see what that is."""
        record, also, timed_out = attempt.record, f"; {LEFT_OPEN}", attempt.timed_out
        text = plain_text(LEFT_OPEN, self._limits.max_error_chars)
        attempt.leftovers = Leftovers()
        attempt.scope.cancel()  # on trio leaving it has done so
        if raised is not None and not _only_cancelled(raised):
            return self._raised(attempt, raised, also)
        if timed_out:
            return self._timed_out(attempt, also)
        if attempt.told is not None:
            log.warning("%s has stopped; %s", record.id, text)
            return _stopped(attempt, text)
        log.warning("%s of type %s failed: %s", record.id, record.type, text)
        return _failed(attempt, text)  # and no more: it would leave it open again

    def _failed(
        self, attempt: Attempt, error: BaseException, text: str, trace: str | None = None
    ) -> Outcome:
        failed = _failed(attempt, text, trace)
        if not attempt.ctx.last_attempt and self._retries_on(error, attempt):
            failed = msgspec.structs.replace(failed, retriable=True, retry_after=asked_wait(error))
        return failed

    def _retries_on(self, error: BaseException, attempt: Attempt) -> bool:
        try:
            return self._declared.retry_policy.covers(error)
        except KeyboardInterrupt:  # as in a body
            attempt.outcome = _stopped(attempt, "KeyboardInterrupt")
            raise
        except BaseException:  # SystemExit, say: it would end the worker, and all would wait
            name, task_id = self._declared.name, attempt.record.id
            log.exception("retry_on of %r raised; %s is not retried", name, task_id)
            return False


def _succeeded(attempt: Attempt, result: msgspec.Raw) -> Outcome:
    record = attempt.record
    return Succeeded(record.id, record.attempt, result, attempt.ctx.take_last_report())


def _stopped(attempt: Attempt, trouble: str | None) -> Outcome:
    record = attempt.record
    return Stopped(record.id, record.attempt, trouble, attempt.ctx.take_last_report())


def _failed(attempt: Attempt, error: str, traceback: str | None = None) -> Failed:
    record = attempt.record
    return Failed(record.id, record.attempt, error, traceback, attempt.ctx.take_last_report())


def _cancels_the_caller(error: BaseException) -> bool:
    """Whether this is the end of the whole worker rather than something that the body raised.

    On asyncio a body may let a CancelledError out that nobody meant for it (from a future that
    was cancelled, say): that is its failure.
    """
    cancelled = anyio.get_cancelled_exc_class()
    return isinstance(error, cancelled) and anyio.current_effective_deadline() == float("-inf")


def _only_cancelled(error: BaseException) -> bool:
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, BaseExceptionGroup):
        return error.split(cancelled)[1] is None
    return isinstance(error, cancelled)
