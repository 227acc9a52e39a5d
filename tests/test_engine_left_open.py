"""A body that leaves a cancel scope or a task group open fails, and harms nobody else by it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.bodies import LEFT_OPEN
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.errors import TaskAlreadyFinal
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.registry import task_type

from .engine_setting import running, virtual_time


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


# Trio has no cancellation that is not a scope's.
asyncio_alone = pytest.mark.parametrize("anyio_backend", [virtual_time("asyncio")], ids=["asyncio"])


# -- what bodies do ------------------------------------------------------------------------------


class Children:
    """What runs in the groups that bodies leave open."""

    def __init__(self) -> None:
        self.running = 0

    async def child(self, cleanup: float = 0) -> None:
        self.running += 1
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(cleanup)
            self.running -= 1


class Left:
    """Keeps what bodies leave open from being collected while the law looks."""

    def __init__(self) -> None:
        self.children = Children()
        self.kept: list[Any] = []

    async def enter_scope(self, **options: Any) -> anyio.CancelScope:
        scope = anyio.CancelScope(**options)
        scope.__enter__()
        self.kept.append(scope)
        return scope

    async def enter_group(self) -> Any:
        group = anyio.create_task_group()
        await group.__aenter__()
        self.kept.append(group)
        return group

    async def break_out_of(self, pages: AsyncIterator[int]) -> None:
        self.kept.append(pages)
        async for _ in pages:
            break

    async def close_generators(self) -> None:
        """Finalise them in a coroutine that is not theirs, as a collector does."""
        for kept in self.kept:
            if hasattr(kept, "aclose"):
                # Both loops say that this is not its coroutine; trio in a group.
                with contextlib.suppress(RuntimeError, BaseExceptionGroup):
                    await kept.aclose()


async def a_scope(left: Left) -> None:
    await left.enter_scope()


async def a_cancelled_scope(left: Left) -> None:
    (await left.enter_scope()).cancel()


async def a_shield(left: Left) -> None:
    await left.enter_scope(shield=True)


async def many_scopes(left: Left) -> None:
    for _ in range(10):
        await left.enter_scope()


async def an_empty_group(left: Left) -> None:
    await left.enter_group()


async def a_group_at_work(left: Left) -> None:
    group = await left.enter_group()
    group.start_soon(left.children.child)
    group.start_soon(left.children.child, 1)
    await anyio.wait_all_tasks_blocked()


async def a_group_that_has_not_begun(left: Left) -> None:
    (await left.enter_group()).start_soon(left.children.child)


async def a_cancelled_group(left: Left) -> None:
    group = await left.enter_group()
    group.start_soon(left.children.child, 1)
    await anyio.wait_all_tasks_blocked()
    group.cancel_scope.cancel()


async def a_group_behind_a_shield(left: Left) -> None:
    await left.enter_scope(shield=True)
    await a_group_at_work(left)


async def a_generator_with_a_group(left: Left) -> None:
    async def pages() -> AsyncIterator[int]:
        async with anyio.create_task_group() as group:
            group.start_soon(left.children.child)
            await anyio.wait_all_tasks_blocked()
            yield 1
            yield 2

    await left.break_out_of(pages())


async def a_generator_with_a_deadline(left: Left) -> None:
    async def pages() -> AsyncIterator[int]:
        with anyio.fail_after(90):
            yield 1
            yield 2

    await left.break_out_of(pages())


async def a_generator_with_a_short_deadline(left: Left) -> None:
    async def pages() -> AsyncIterator[int]:
        with anyio.move_on_after(10):
            yield 1
            yield 2

    await left.break_out_of(pages())


async def scopes_left_in_the_wrong_order(left: Left) -> None:
    outer, inner = await left.enter_scope(), await left.enter_scope()
    with contextlib.suppress(RuntimeError):
        outer.__exit__(None, None, None)
    await left.enter_scope()
    with contextlib.suppress(RuntimeError):
        inner.__exit__(None, None, None)


async def a_group_left_before_the_scope_in_it(left: Left) -> None:
    group = await left.enter_group()
    group.start_soon(left.children.child)
    await left.enter_scope()
    group.cancel_scope.cancel()
    with contextlib.suppress(RuntimeError):
        await group.__aexit__(None, None, None)
    await left.enter_scope()


SHAPES: dict[str, Callable[[Left], Awaitable[None]]] = {
    shape.__name__: shape
    for shape in (
        a_scope,
        a_cancelled_scope,
        a_shield,
        many_scopes,
        an_empty_group,
        a_group_at_work,
        a_group_that_has_not_begun,
        a_cancelled_group,
        a_group_behind_a_shield,
        a_generator_with_a_group,
        a_generator_with_a_deadline,
        a_generator_with_a_short_deadline,
        scopes_left_in_the_wrong_order,
        a_group_left_before_the_scope_in_it,
    )
}
SHIELDED = {"a_shield", "a_group_behind_a_shield"}
SHORT = {  # their own scopes end a body before anybody else asks it to stop
    "a_cancelled_scope",
    "a_cancelled_group",
    "a_generator_with_a_short_deadline",
}
every_shape = pytest.mark.parametrize("shape", SHAPES)
every_lasting_shape = pytest.mark.parametrize(
    "shape",
    # The last one ends a body on asyncio only.
    [one for one in SHAPES if one not in SHORT | {"a_group_left_before_the_scope_in_it"}],
)


class Setting:
    """Task types whose bodies leave something open, in one way or another."""

    def __init__(self, *, concurrency: int = 1) -> None:
        self.left = left = Left()

        @task_type("careless", concurrency=concurrency, timeout=60, cancel_grace=5)
        async def careless(ctx: TaskContext, params: list[str]) -> str:
            shape, then = params
            if shape:
                await SHAPES[shape](left)
            match then:
                case "return":
                    return "done"
                case "raise":
                    raise ValueError("no luck")
                case _:
                    await anyio.sleep(200)  # it wakes up even if a shield keeps a cancel from it
                    return "woken"

        @task_type("bystander")
        async def bystander(ctx: TaskContext) -> None:
            await anyio.sleep_forever()

        self.careless, self.bystander = careless, bystander

    @contextlib.asynccontextmanager
    async def engine(self, **options: Any) -> AsyncIterator[TaskEngine]:
        """An engine in which somebody else's task runs from beginning to end."""
        options.setdefault("drain_grace", 1)
        async with running(self.careless, self.bystander, **options) as engine:
            other = await engine.submit(self.bystander)
            yield engine
            assert (await engine.get(other.id)).status is TaskStatus.RUNNING
            await other.cancel()
        await self.left.close_generators()

    async def ends(self, engine: TaskEngine, shape: str, then: str) -> TaskRecord:
        return await (await engine.submit(self.careless, [shape, then])).wait()

    async def check_unharmed(self, engine: TaskEngine) -> None:
        """Later tasks of the type run, are cancelled and run out of time as ever."""
        assert self.left.children.running == 0
        for _ in range(3):
            assert (await self.ends(engine, "", "return")).status is TaskStatus.COMPLETED
            assert (await self.ends(engine, "", "raise")).error == "ValueError: no luck"
        handle = await engine.submit(self.careless, ["", "sleep"])
        await anyio.sleep(1)
        assert (await handle.cancel()).status is TaskStatus.CANCELLED
        before = anyio.current_time()
        assert (await self.ends(engine, "", "sleep")).error == "timed out after 60 s"
        assert anyio.current_time() - before == pytest.approx(60)


@every_shape
async def test_a_body_that_leaves_a_scope_open_fails_alone_and_is_told_what_it_did(
    shape: str,
) -> None:
    setting = Setting()
    async with setting.engine() as engine:
        for _ in range(3):
            before = anyio.current_time()
            record = await setting.ends(engine, shape, "return")
            if shape != "a_group_behind_a_shield":  # which keeps the cancellation from it
                assert anyio.current_time() - before < 2  # a child of some has a second's cleanup
            assert record.status is TaskStatus.FAILED
            assert record.error == LEFT_OPEN
            assert "left a cancel scope or task group open" in record.error
            await setting.check_unharmed(engine)
        await anyio.sleep(600)  # what was left open may have had a deadline
        await setting.check_unharmed(engine)


@every_shape
async def test_what_such_a_body_raises_is_its_error_and_what_it_left_is_said_too(
    shape: str,
) -> None:
    setting = Setting()
    async with setting.engine() as engine:
        record = await setting.ends(engine, shape, "raise")
        assert record.status is TaskStatus.FAILED
        assert record.error == f"ValueError: no luck; {LEFT_OPEN}"
        assert record.traceback is not None
        assert "no luck" in record.traceback
        await setting.check_unharmed(engine)


@every_lasting_shape
async def test_such_a_body_is_cancelled_no_less_and_says_so_only_once_all_of_it_has_stopped(
    shape: str, caplog: pytest.LogCaptureFixture
) -> None:
    setting = Setting()
    async with setting.engine() as engine:
        handle = await engine.submit(setting.careless, [shape, "sleep"])
        await anyio.sleep(1)
        record = await handle.cancel()
        if shape in SHIELDED:  # then the body, too, is behind it
            assert record.status is TaskStatus.RUNNING
            record = await handle.wait()
        assert record.status is TaskStatus.CANCELLED
        assert record.message == f"Task cancelled (while stopping: {LEFT_OPEN})"
        reports = [one for one in caplog.records if one.levelno == logging.ERROR]
        assert len(reports) == (shape in SHIELDED)  # once
        await setting.check_unharmed(engine)


@every_lasting_shape
async def test_such_a_body_runs_out_of_time_no_less(shape: str) -> None:
    setting = Setting()
    async with setting.engine() as engine:
        handle = await engine.submit(setting.careless, [shape, "sleep"])
        await anyio.sleep(90)
        if shape in SHIELDED:
            assert "still running after 5 s" in str((await engine.get(handle.id)).message)
        record = await handle.wait()
        assert record.status is TaskStatus.FAILED
        assert record.error == f"timed out after 60 s; {LEFT_OPEN}"
        await setting.check_unharmed(engine)


@pytest.mark.parametrize("shape", sorted(SHORT))
async def test_a_body_that_is_ended_by_what_it_left_open_itself_has_failed_for_that(
    shape: str,
) -> None:
    setting = Setting()
    async with setting.engine() as engine:
        record = await setting.ends(engine, shape, "sleep")
        assert record.status is TaskStatus.FAILED
        assert record.error == LEFT_OPEN
        await setting.check_unharmed(engine)


@every_shape
async def test_no_place_and_no_coroutine_is_lost_by_it(shape: str) -> None:
    setting = Setting(concurrency=3)
    async with setting.engine() as engine:
        for _ in range(3):  # each place has been there, and is free
            asleep = [await engine.submit(setting.careless, ["", "sleep"]) for _ in range(3)]
            await anyio.sleep(1)
            for handle in asleep:
                assert (await engine.get(handle.id)).status is TaskStatus.RUNNING
                await handle.cancel()
            await anyio.sleep(100)
            coroutines = len(anyio.get_running_tasks())
            for then in ("return", "raise", "return", "raise", "return"):
                await setting.ends(engine, shape, then)
            await setting.left.close_generators()
            await anyio.sleep(100)
            assert len(anyio.get_running_tasks()) == coroutines


@every_lasting_shape
async def test_an_engine_is_left_in_order_while_something_stands_open(shape: str) -> None:
    setting, backend = Setting(), MemoryBackend()
    async with setting.engine(backend=backend) as engine:
        handle = await engine.submit(setting.careless, [shape, "sleep"])
        await anyio.sleep(1)
    assert setting.left.children.running == 0
    async with running(setting.careless, setting.bystander, backend=backend) as engine:
        record = await engine.get(handle.id)
        assert record.status is TaskStatus.CANCELLED
        assert record.message == f"Task cancelled by shutdown (while stopping: {LEFT_OPEN})"


# -- what is left running ------------------------------------------------------------------------


async def test_children_that_do_not_stop_are_reported_and_keep_their_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    may_end = anyio.Event()

    async def deaf_child() -> None:
        with anyio.CancelScope(shield=True):
            while not may_end.is_set():
                with contextlib.suppress(BaseException):
                    await may_end.wait()

    @task_type("careless", cancel_grace=5)
    async def careless(ctx: TaskContext) -> None:
        group = anyio.create_task_group()
        await group.__aenter__()
        group.start_soon(deaf_child)
        await anyio.wait_all_tasks_blocked()

    async with running(careless, drain_grace=1) as engine:
        handle = await engine.submit(careless)
        next_one = await engine.submit(careless)
        await anyio.sleep(10)
        record = await engine.get(handle.id)
        assert record.status is TaskStatus.RUNNING
        assert record.message == "Told to stop, but still running after 5 s"
        assert (await engine.get(next_one.id)).status is TaskStatus.PENDING
        (entry,) = [one for one in caplog.records if one.levelno == logging.ERROR]
        assert handle.id in entry.getMessage()
        assert "await may_end.wait()" in entry.getMessage()  # the very line
        assert (await handle.cancel()).status is TaskStatus.RUNNING
        may_end.set()
        assert (await handle.wait()).error == LEFT_OPEN
        assert (await next_one.wait()).error == LEFT_OPEN


async def test_children_have_the_time_for_their_cleanup() -> None:
    cleaned: list[str] = []

    async def child() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
                cleaned.append("up")

    @task_type("careless", cancel_grace=5)
    async def careless(ctx: TaskContext) -> None:
        group = anyio.create_task_group()
        await group.__aenter__()
        group.start_soon(child)
        await anyio.wait_all_tasks_blocked()

    async with running(careless) as engine:
        await (await engine.submit(careless)).wait()
        assert cleaned == ["up"]


async def test_what_is_told_to_stop_while_its_children_end_is_said_to_have_failed_before() -> None:
    setting = Setting()
    async with setting.engine() as engine:
        handle = await engine.submit(setting.careless, ["a_group_at_work", "return"])
        await anyio.sleep(0.5)  # one of its children takes a second
        with pytest.raises(TaskAlreadyFinal):
            await handle.cancel()
        assert (await handle.wait()).error == LEFT_OPEN
        await setting.check_unharmed(engine)


# -- generators that are finalised elsewhere -----------------------------------------------------


@contextlib.contextmanager
def complaints_of_the_loop(loop: str) -> Iterator[None]:
    """Keep to ourselves what the loop says when it finalises a generator in the wrong place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # that is trio's way
        if loop == "trio":
            yield
            return
        running_loop = asyncio.get_running_loop()
        handler = running_loop.get_exception_handler()
        running_loop.set_exception_handler(lambda _, context: None)
        yield
        running_loop.set_exception_handler(handler)


async def test_a_generator_that_is_collected_harms_nobody(anyio_backend_name: str) -> None:
    @task_type("careless", concurrency=2)
    async def careless(ctx: TaskContext, params: bool) -> int:
        async def pages() -> AsyncIterator[int]:
            async with anyio.create_task_group():
                with anyio.move_on_after(30):
                    yield 1
                    yield 2

        async for page in pages():
            return page
        return 0

    with complaints_of_the_loop(anyio_backend_name):
        async with running(careless) as engine:
            for _ in range(3):
                assert (await (await engine.submit(careless, True)).wait()).error == LEFT_OPEN
                gc.collect()
                await anyio.sleep(60)


async def test_a_generator_that_another_coroutine_closes_meanwhile_harms_nobody_else() -> None:
    @task_type("careless", concurrency=2)
    async def careless(ctx: TaskContext, close: bool) -> str:
        async def pages() -> AsyncGenerator[int, None]:
            async with anyio.create_task_group():
                yield 1

        if close:
            generator = pages()
            await anext(generator)
            async with anyio.create_task_group() as group:
                group.start_soon(generator.aclose)
        await anyio.sleep(1)
        return "done"

    async with running(careless) as engine:
        for _ in range(3):
            other = await engine.submit(careless, False)
            record = await (await engine.submit(careless, True)).wait()
            assert record.status is TaskStatus.FAILED
            assert str(record.error).endswith(LEFT_OPEN)
            assert await other.result() == "done"


# -- what else a body can leave in the coroutine that ran it -------------------------------------


class Incomparable:
    def __eq__(self, other: object) -> bool:
        raise SystemExit("not with me")

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return "incomparable"


seen: ContextVar[object] = ContextVar("seen", default="nothing")


async def test_a_body_does_not_see_what_an_earlier_one_set() -> None:
    @task_type("setter")
    async def setter(ctx: TaskContext, params: str) -> str:
        before = seen.get()
        seen.set(Incomparable() if params == "incomparable" else params)
        return str(before)

    for earlier in ("nothing", Incomparable()):
        token = seen.set(earlier)
        async with running(setter) as engine:
            for params in ("one", "two", "incomparable", "three"):
                handle = await engine.submit(setter, params)
                assert await handle.result() == str(earlier)
        seen.reset(token)


@pytest.mark.parametrize("how", ["at once", "later"])
@asyncio_alone
async def test_a_cancellation_of_asyncios_own_that_comes_late_costs_no_task(how: str) -> None:
    @task_type("careless", cancel_grace=5)
    async def careless(ctx: TaskContext, params: str) -> str:
        if params == "at once":
            current = asyncio.current_task()
            assert current is not None
            current.cancel()
        if params == "later":
            await asyncio.timeout(10).__aenter__()
        return "done"

    async with running(careless) as engine:
        for _ in range(3):
            assert await (await engine.submit(careless, how)).result() == "done"
            assert await (await engine.submit(careless, "")).result() == "done"
            await anyio.sleep(60)
            assert await (await engine.submit(careless, "")).result() == "done"
