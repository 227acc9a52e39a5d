"""An engine or a backend that breaks a promise is caught; each is broken on purpose here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import msgspec
import pytest

from cortex_tasks import MemoryBackend, TaskAlreadyFinal, TaskContext, task_type
from cortex_tasks.engine.attempts import Attempt
from cortex_tasks.engine.journal import JournalWriter
from cortex_tasks.engine.ledger import Ledger
from cortex_tasks.engine.live_tasks import LiveTasks
from cortex_tasks.engine.messages import Stopped
from cortex_tasks.engine.places import Place
from cortex_tasks.engine.storage import Change, Put, Recovered
from cortex_tasks.engine.worker import Worker
from cortex_tasks.testing import (
    Exploration,
    Faults,
    LeftRunning,
    PromiseBroken,
    ScenarioFailed,
    TaskHarness,
    run_harness,
)
from cortex_tasks.testing import explore as explore_it


@task_type("work", concurrency=2, on_restart="resume")
async def work(ctx: TaskContext, steps: int) -> list[int]:
    done = []
    for step in range(steps):
        await anyio.sleep(ctx.random.uniform(0.1, 2))
        await ctx.progress(current=step, total=steps)
        done.append(step)
    return done


async def busy(harness: TaskHarness) -> None:
    """Three clients submit, cancel and wait, while the engine is restarted."""

    async def client() -> None:
        for _ in range(3):
            handle = await harness.submit(work, harness.random.randrange(1, 5))
            if harness.random.random() < 0.3:
                await anyio.sleep(harness.random.uniform(0, 3))
                try:
                    await harness.cancel(handle)
                except TaskAlreadyFinal:
                    continue
            await harness.wait(handle)

    async with anyio.create_task_group() as clients:
        for _ in range(3):
            clients.start_soon(client)
    await harness.restart()


def explore(loop: str, **options: Any) -> Exploration:
    options = {"seeds": range(20), "faults": Faults(crash=0.3), "loop": loop, **options}
    return explore_it(busy, work, **options)


@pytest.fixture(params=["trio", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_whole_engine_keeps_every_promise_whatever_goes_wrong(loop: str) -> None:
    everything = Faults(
        commit_slow=0.1,
        commit_torn=0.02,
        crash=0.5,
        cancel=0.1,
        body_raises=0.1,
        body_hangs=0.1,
        body_lingers=0.1,
    )
    found = explore(loop, seeds=range(40), faults=everything)
    assert found.runs == 40
    assert found.distinct > 30
    assert found.crashes > 10
    assert set(found.injected) == set(everything.names)


def broken(loop: str, **options: Any) -> str:
    """What the exploration finds wrong."""
    with pytest.raises(ScenarioFailed) as raised:
        explore(loop, **options)
    assert isinstance(raised.value.__cause__, PromiseBroken), raised.value
    return str(raised.value.__cause__)


def test_it_is_noticed_that_an_answer_comes_before_it_is_kept(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = JournalWriter.run

    async def run_hastily(self: JournalWriter) -> None:
        enqueue = self.enqueue

        def carry_out_and_enqueue(decision: Any) -> None:
            self._ears.carry_out(decision)
            decision.once_kept.clear()
            enqueue(decision)

        monkeypatch.setattr(self, "enqueue", carry_out_and_enqueue)
        await run(self)

    monkeypatch.setattr(JournalWriter, "run", run_hastily)
    said = broken(loop)
    assert "and is not kept" in said or "began before that was kept" in said


def test_it_is_noticed_that_a_task_is_called_cancelled_while_it_runs(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Worker.stop_nowait

    def stop_and_say_so(self: Worker, task_id: str, why: Any) -> None:
        stop(self, task_id, why)
        attempt = self._attempts.get(task_id)
        if attempt is not None:
            said = Stopped(task_id, attempt.record.attempt, None, None)
            self._nursery.start_soon(_post, self, said)

    monkeypatch.setattr(Worker, "stop_nowait", stop_and_say_so)
    lingering = Faults(body_lingers=1.0)
    assert "still runs" in broken(loop, faults=lingering)


async def _post(worker: Worker, said: Stopped) -> None:
    await worker._post(said)


def test_it_is_noticed_that_progress_falls(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change = LiveTasks.change

    def backwards(self: LiveTasks, live: Any, fields: Any, result: Any = None) -> None:
        if "progress_percent" in fields and "completed_at" not in fields:
            fields = {**fields, "progress_percent": 99 - fields["progress_percent"]}
        change(self, live, fields, result)

    monkeypatch.setattr(LiveTasks, "change", backwards)
    assert "fell from" in broken(loop, faults=Faults())


def test_it_is_noticed_that_a_completed_task_has_no_result(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = LiveTasks.change

    def without_result(self: LiveTasks, live: Any, fields: Any, result: Any = None) -> None:
        change(self, live, fields, None if result is None else msgspec.Raw(b"[]"))

    monkeypatch.setattr(LiveTasks, "change", without_result)
    assert "another result than its body returned" in broken(loop)


def test_it_is_noticed_that_events_are_left_out(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = Ledger.publish

    def leave_one_out(self: Ledger, changes: Any, latest: Any) -> None:
        if len(changes) > 1:
            self.seq += 1
            changes = changes[1:]
        publish(self, changes, latest)

    monkeypatch.setattr(Ledger, "publish", leave_one_out)
    assert "not every change is shown" in broken(loop)


class ForgetfulBackend(MemoryBackend):
    """Loses the newest task whenever it is opened."""

    async def open(self) -> Recovered:
        recovered = await super().open()
        return Recovered(recovered.records[:-1], recovered.params, recovered.last_seq)


class CuttingBackend(MemoryBackend):
    """Keeps but the first byte of a result."""

    async def commit(self, changes: Sequence[Change]) -> None:
        await super().commit([self._cut(change) for change in changes])

    def _cut(self, change: Change) -> Change:
        if isinstance(change, Put) and change.result is not None:
            return Put(change.record, change.params, msgspec.Raw(b"0"))
        return change


def test_it_is_noticed_that_a_restart_loses_a_task(loop: str) -> None:
    backends: list[MemoryBackend] = []

    def make() -> MemoryBackend:
        if not backends or not backends[-1]._open:
            backends.append(ForgetfulBackend())
        return backends[0]

    said = broken(loop, seeds=range(1), make_backend=make)
    assert "it is no more" in said


def test_it_is_noticed_that_a_result_is_cut(loop: str) -> None:
    backend = CuttingBackend()
    said = broken(loop, seeds=range(1), make_backend=lambda: backend)
    assert "is not the one that was kept with it" in said


def test_what_a_body_gave_to_asyncio_and_left_running_is_named_as_the_bodys_doing() -> None:
    left: list[asyncio.Task[None]] = []

    async def ticking() -> None:
        for _ in range(100):
            await anyio.sleep(1)

    @task_type("careless", retries=1)
    async def careless(ctx: TaskContext) -> None:
        left.append(asyncio.create_task(ticking()))
        if not ctx.last_attempt:
            raise ValueError("once more")

    async def scenario(harness: TaskHarness) -> None:
        await harness.wait(await harness.submit(careless))
        await harness.advance(seconds=5)

    with pytest.raises(LeftRunning, match=r"ticking, which attempt \d of its body gave to asyncio"):
        run_harness(scenario, careless, loop="asyncio")
    assert all(task.done() for task in left)


def test_an_async_generator_that_a_body_left_is_named_and_how_to_close_it() -> None:
    async def rows() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await anyio.sleep(5)

    @task_type("careless")
    async def careless(ctx: TaskContext) -> int:
        async for row in rows():
            return row
        return 0

    async def scenario(harness: TaskHarness) -> None:
        await harness.wait(await harness.submit(careless))
        await harness.advance(seconds=60)

    said = r"generator .*\.rows, which attempt 1 .*contextlib\.aclosing\(rows\(…\)\)"
    with pytest.raises(LeftRunning, match=said):
        run_harness(scenario, careless, loop="asyncio")


def test_a_child_of_a_group_that_outlives_its_task_is_the_engines_doing(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine waits for what a body left open; here it does not."""

    async def wait_for_nothing(place: Place, attempt: Attempt) -> None:
        attempt.leftovers = None

    monkeypatch.setattr(Place, "_wait_stopped", wait_for_nothing)

    async def stubborn() -> None:
        with anyio.CancelScope(shield=True):
            for _ in range(5):
                await anyio.sleep(1)

    @task_type("careless")
    async def careless(ctx: TaskContext) -> None:
        group = anyio.create_task_group()
        await group.__aenter__()
        group.start_soon(stubborn)
        await anyio.sleep(1)

    async def scenario(harness: TaskHarness) -> None:
        await harness.wait(await harness.submit(careless))
        await harness.advance(seconds=5)

    with pytest.raises(PromiseBroken, match="code of its attempt 1 runs"):
        run_harness(scenario, careless, loop=loop)
