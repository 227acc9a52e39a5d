"""Task types: what a program declares with `@task_type`, and how parameters reach a body whole."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Generic, Literal, Protocol, TypeVar, get_args, overload

import msgspec

from .errors import InvalidParameters, NotJson, TaskTypeError, UnknownTaskType
from .exact_json import ExactJson
from .json_faults import Fault, Misfit
from .retrying import Backoff, RetryOn, RetryPolicy, declared_policy

P = TypeVar("P")
R = TypeVar("R")
P_contra = TypeVar("P_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

OnRestart = Literal["fail", "resume"]
Runs = Literal["loop", "process"]

_DEFAULT_BACKOFF = Backoff()
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
_PATH = re.compile(r" - at `(.+)`$", re.DOTALL)


_NOTHING = b"{}"


def _always() -> bool:
    return True


class TaskType(Generic[P, R]):
    """A declared kind of task. Immutable; may be registered with any number of engines."""

    def __init__(
        self,
        name: str,
        body: Callable[..., Any],
        *,
        params: Any,
        returns: Any,
        concurrency: int,
        timeout: float | None,
        on_restart: OnRestart,
        max_interruptions: int,
        max_pending: int,
        cancel_grace: float,
        runs: Runs,
        takes_params: bool,
        retry_policy: RetryPolicy,
    ) -> None:
        self.name = name
        self.body = body
        self.params = params
        self.returns = returns
        self.concurrency = concurrency
        self.timeout = timeout
        self.on_restart = on_restart
        self.max_interruptions = max_interruptions
        self.max_pending = max_pending
        self.cancel_grace = cancel_grace
        self.runs = runs
        self.takes_params = takes_params
        self.retry_policy = retry_policy
        self._params_json = _exact_json(name, "parameters", params)
        self._result_json = _exact_json(name, "result", returns)
        self.__doc__ = body.__doc__
        self.__module__ = body.__module__
        self.__qualname__ = body.__qualname__

    def __repr__(self) -> str:
        return f"<TaskType {self.name!r}>"

    def __reduce__(self) -> str:
        # Pickled by name, so that a child process finds the same declaration.
        return self.__qualname__

    def encode_params(self, params: Any) -> msgspec.Raw:
        """Check the parameters and give them as JSON.

        Raises InvalidParameters with the path of the field that does not fit, or that JSON would
        not keep as it is.
        """
        try:
            encoded = self._params_json.encode({} if params is None else params, as_given=True)
        except Misfit as misfit:
            raise _invalid(self.name, misfit.error) from None
        except Fault as fault:
            path = fault.place()
            message = f"the parameters of {self.name!r} cannot be written as JSON: {path}: {fault}"
            raise InvalidParameters(message, path=path) from None
        return msgspec.Raw(encoded)

    def decode_params(self, encoded: msgspec.Raw) -> P:
        """Give a fresh parameter object; raises InvalidParameters if the type has changed since."""
        try:
            return typing.cast("P", self._params_json.decode(encoded))
        except msgspec.DecodeError as error:
            raise _invalid(self.name, error) from None

    def encode_result(
        self, result: Any, *, in_pieces: bool = False, go_on: Callable[[], bool] = _always
    ) -> bytes:
        """Give the result as JSON that `decode_result` turns back into it.

        Raises NotJson with the path of what would not come back as it is. in_pieces: let other
        threads run meanwhile; raises Unwanted soon after `go_on` has given False.
        """
        if result is None:
            return self._encode_none()
        try:
            if in_pieces:
                return self._result_json.encode_in_pieces(result, go_on)
            return self._result_json.encode(result)
        except Fault as fault:
            raise _not_json(self.name, fault) from None

    def decode_result(self, encoded: msgspec.Raw) -> R:
        """Give the result as the type that the body declares to return."""
        try:
            return typing.cast("R", self._result_json.decode(encoded))
        except msgspec.ValidationError:
            if bytes(encoded) != _NOTHING:
                raise
            return typing.cast("R", self._result_json.decode(b"null"))

    def _encode_none(self) -> bytes:
        """Clients take a null result for one that is still to come: nothing is `{}`."""
        try:
            read: Any = self.decode_result(msgspec.Raw(_NOTHING))
        except msgspec.ValidationError as error:
            raise _not_json(self.name, Misfit([], error, "the body returned None")) from None
        if read is not None and read != {}:
            reason = (
                f"None is kept as {{}}, which would come back as {read!r}: return something else"
            )
            raise _not_json(self.name, Fault([], reason))
        return _NOTHING


class _Body(Protocol[P_contra, R_co]):
    """What a task body looks like."""

    def __call__(self, ctx: Any, params: P_contra, /) -> Awaitable[R_co]: ...


class _PlainBody(Protocol[P_contra, R_co]):
    """What the body of a `runs="process"` type looks like."""

    def __call__(self, ctx: Any, params: P_contra, /) -> R_co: ...


class _Declare(Protocol):
    @overload
    def __call__(self, body: _Body[P, R], /) -> TaskType[P, R]: ...
    @overload
    def __call__(self, body: Callable[[Any], Awaitable[R]], /) -> TaskType[None, R]: ...
    @overload
    def __call__(self, body: _PlainBody[P, R], /) -> TaskType[P, R]: ...
    @overload
    def __call__(self, body: Callable[[Any], R], /) -> TaskType[None, R]: ...


def task_type(
    name: str,
    *,
    concurrency: int = 1,
    timeout: float | None = None,
    on_restart: OnRestart = "fail",
    max_interruptions: int = 5,
    max_pending: int = 10_000,
    cancel_grace: float = 5.0,
    runs: Runs = "loop",
    params: Any = None,
    retries: int = 0,
    retry_on: RetryOn = Exception,
    backoff: Backoff = _DEFAULT_BACKOFF,
) -> _Declare:
    """Declare the decorated function as the body of a task type.

    The body is `async def body(ctx, params)` (or `body(ctx)` without parameters), run in the event
    loop; with `runs="process"` it is a plain `def` in an importable module, run in a child process
    that a cancel kills. `params` is annotated with any type that msgspec decodes from JSON.

    concurrency: how many run at once. timeout: seconds an attempt may take (None: any).
    on_restart: what becomes of a task whose process died: "fail", or "resume" under the same id.
    max_interruptions: how many crashes in its attempts a task that resumes may see until it fails,
    as it may be what causes them. (A restart in order is none.)
    max_pending: beyond it a submit raises QueueFull. cancel_grace: seconds after which a body that
    ignores a cancel is reported. params: the parameter type, where the annotation cannot say it.

    retries: how often a task is tried again after an attempt that failed. retry_on: after which
    failures: an error class, a tuple of them, or a quick function from the error to True or False;
    running out of time is a TimeoutError. backoff: how long it waits before, as pending.

    Raises TaskTypeError for a declaration that cannot work.
    """
    if not _NAME.fullmatch(name):
        raise TaskTypeError(
            f"{name!r} is no name for a task type: use a letter, then letters, digits and _ . -"
        )
    _check_number(name, "concurrency", concurrency, at_least=1)
    _check_number(name, "max_interruptions", max_interruptions, at_least=1)
    _check_number(name, "max_pending", max_pending, at_least=1)
    if timeout is not None and not timeout > 0:
        raise TaskTypeError(f"timeout of {name!r} must be more than 0 seconds, not {timeout!r}")
    if not cancel_grace >= 0:
        raise TaskTypeError(f"cancel_grace of {name!r} must be 0 seconds or more")
    if on_restart not in get_args(OnRestart):
        raise TaskTypeError(f'on_restart of {name!r} must be "fail" or "resume"')
    if runs not in get_args(Runs):
        raise TaskTypeError(f'runs of {name!r} must be "loop" or "process"')

    _check_number(name, "retries", retries, at_least=0)
    retry_policy = declared_policy(name, retries, retry_on, backoff)

    def declare(body: Callable[..., Any]) -> TaskType[Any, Any]:
        if inspect.iscoroutinefunction(body) is (runs == "process"):
            raise TaskTypeError(
                f"the body of {name!r} must be "
                + ("a plain def, as it runs in a process" if runs == "process" else "an async def")
            )
        annotated, returns, takes_params = _annotations(name, body, params)
        return TaskType(
            name,
            body,
            params=annotated,
            returns=returns,
            concurrency=concurrency,
            timeout=timeout,
            on_restart=on_restart,
            max_interruptions=max_interruptions,
            max_pending=max_pending,
            cancel_grace=cancel_grace,
            runs=runs,
            takes_params=takes_params,
            retry_policy=retry_policy,
        )

    return typing.cast("_Declare", declare)


class Registry:
    """The task types that one engine runs, by name."""

    def __init__(self, task_types: Iterable[object]) -> None:
        self._types: dict[str, TaskType[Any, Any]] = {}
        for declared in task_types:
            if not isinstance(declared, TaskType):
                raise TaskTypeError(f"{declared!r} is not a task type: decorate it with @task_type")
            if declared.name in self._types:
                raise TaskTypeError(f"two task types are called {declared.name!r}")
            self._types[declared.name] = declared

    def __iter__(self) -> Iterator[TaskType[Any, Any]]:
        return iter(self._types.values())

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def find(self, wanted: object) -> TaskType[Any, Any]:
        """Give the registered type; raises UnknownTaskType with the names that are known."""
        name = wanted.name if isinstance(wanted, TaskType) else str(wanted)
        found = self._types.get(name)
        if found is None or (isinstance(wanted, TaskType) and found is not wanted):
            raise UnknownTaskType(name, list(self._types))
        return found


def _annotations(name: str, body: Callable[..., Any], params: Any) -> tuple[Any, Any, bool]:
    """What the body takes and returns, as types that msgspec decodes."""
    arguments = [
        argument
        for argument in inspect.signature(body).parameters.values()
        if argument.kind in (argument.POSITIONAL_ONLY, argument.POSITIONAL_OR_KEYWORD)
    ]
    if not 1 <= len(arguments) <= 2:
        raise TaskTypeError(f"the body of {name!r} must take (ctx, params) or (ctx)")
    try:
        hints = typing.get_type_hints(body, include_extras=True)
    except NameError as error:
        if params is None:
            raise TaskTypeError(
                f"an annotation of the body of {name!r} cannot be resolved ({error}): "
                "move the type to the module's top level, or give it as task_type(params=…)"
            ) from None
        hints = {}
    takes_params = len(arguments) == 2
    if params is None:
        params = hints.get(arguments[1].name, Any) if takes_params else dict[str, Any]
    returns = hints.get("return", Any)
    return params, Any if returns is type(None) else returns, takes_params


def _exact_json(name: str, what: str, wanted: Any) -> ExactJson:
    try:
        return ExactJson(wanted)
    except TypeError as error:
        if what == "result":  # a return annotation is a courtesy: fall back to plain JSON values
            return ExactJson(Any)
        raise TaskTypeError(f"msgspec cannot decode the {what} of {name!r}: {error}") from None


def _invalid(name: str, error: Exception) -> InvalidParameters:
    text = str(error)
    found = _PATH.search(text)
    return InvalidParameters(
        f"bad parameters for {name!r}: {text}", path=found.group(1) if found else "$"
    )


def _not_json(name: str, fault: Fault) -> NotJson:
    path = fault.place()
    return NotJson(f"the result of {name!r} cannot be written as JSON: {path}: {fault}", path)


def _check_number(name: str, option: str, value: object, *, at_least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise TaskTypeError(f"{option} of {name!r} must be a whole number of {at_least} or more")
