"""Spans: from the request through the submit to each attempt, over restarts and chains."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.records import TraceContext
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.retrying import Backoff
from cortex_tasks.http.app import create_app
from cortex_tasks.testing.harness import TaskHarness
from cortex_tasks.tracing import TracedRequests, Tracing

from .engine_setting import LoopClock, an_engine, numbered_surroundings, virtual_time
from .http_setting import client_of

SECOND = 10**9
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


class Spans:
    """All spans of a program, as its SDK exports them."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(self.provider)

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


@pytest.fixture
def spans() -> Spans:
    return Spans()


def about(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    assert span.parent is not None
    own = parent.get_span_context()
    assert own is not None
    return (span.parent.trace_id, span.parent.span_id) == (own.trace_id, own.span_id)


@task_type("report")
async def report(ctx: TaskContext) -> None:
    with trace.get_tracer("body", tracer_provider=None).start_as_current_span("unrecorded"):
        pass
    await anyio.sleep(5)


@task_type("flaky", retries=1, backoff=Backoff(first=60, factor=1, jitter=0))
async def flaky(ctx: TaskContext) -> None:
    if not ctx.last_attempt:
        raise ValueError("not yet")


@task_type("endless")
async def endless(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


@task_type("resumes", on_restart="resume")
async def resumes(ctx: TaskContext) -> None:
    await anyio.sleep(10 if ctx.attempt == 1 else 1)


@asynccontextmanager
async def running(spans: Spans, **options: Any) -> AsyncIterator[TaskEngine]:
    surroundings = replace(numbered_surroundings(), clock=LoopClock())
    types = (report, flaky, endless, resumes)
    async with an_engine(
        *types, surroundings=surroundings, tracer=spans.tracing, drain_grace=0, **options
    ) as engine:
        yield engine


async def test_the_run_is_a_child_of_its_submit_and_that_of_the_span_around_it(
    spans: Spans,
) -> None:
    async with running(spans) as engine:
        tracer = spans.provider.get_tracer("program")
        with tracer.start_as_current_span("the caller"):
            handle = await engine.submit(report)
        await handle.wait()
    submit, run, task = (
        spans.one("submit report"),
        spans.one("run report"),
        spans.one("task report"),
    )
    assert is_child(submit, spans.one("the caller"))
    assert is_child(run, submit)
    assert is_child(task, submit)
    assert (submit.kind, run.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert about(run) == {
        "messaging.system": "cortex_tasks",
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "messaging.destination.name": "report",
        "messaging.message.id": "task_1",
        "cortex_tasks.task.attempt": 1,
    }
    assert about(task)["cortex_tasks.task.status"] == "completed"
    assert task.start_time is not None
    assert task.end_time is not None
    assert (task.end_time - task.start_time) / SECOND == pytest.approx(5, abs=0.1)


async def test_what_a_body_starts_is_within_its_attempt(spans: Spans) -> None:
    coroutines: set[int] = set()

    @task_type("working", concurrency=1)
    async def working(ctx: TaskContext) -> None:
        tracer = spans.provider.get_tracer("body")
        coroutines.add(anyio.get_current_task().id)

        async def child() -> None:
            with tracer.start_as_current_span(f"child {ctx.task_id}"):
                await anyio.sleep(1)

        with tracer.start_as_current_span(f"step {ctx.task_id}"):
            pass
        async with anyio.create_task_group() as group:
            group.start_soon(child)

    async with an_engine(working, tracer=spans.tracing) as engine:
        for _ in range(2):
            await (await engine.submit(working)).result()
    assert len(coroutines) == 1  # one stood for both: tracing leaves nothing behind in it
    first, second = spans.named("run working")
    assert is_child(spans.one("step task_1"), first)
    assert is_child(spans.one("child task_1"), first)
    assert is_child(spans.one("step task_2"), second)
    assert not trace.get_current_span().get_span_context().is_valid


async def test_each_attempt_has_a_span_and_a_failure_says_what_was_raised(spans: Spans) -> None:
    async with running(spans) as engine:
        await (await engine.submit(flaky)).wait()
    first, second = spans.named("run flaky")
    assert first.status.status_code is StatusCode.ERROR
    assert about(first)["error.type"] == "ValueError"
    (event,) = first.events
    assert "not yet" in str(dict(event.attributes or {})["exception.stacktrace"])
    assert second.status.status_code is StatusCode.UNSET
    assert [about(span)["cortex_tasks.task.attempt"] for span in (first, second)] == [1, 2]
    assert about(spans.one("task flaky"))["cortex_tasks.task.attempts"] == 2


async def test_a_cancel_is_no_error(spans: Spans) -> None:
    async with running(spans) as engine:
        handle = await engine.submit(endless)
        await anyio.sleep(1)
        await handle.cancel()
    run, task = spans.one("run endless"), spans.one("task endless")
    assert about(run)["cortex_tasks.attempt.stopped"] is True
    assert about(task)["cortex_tasks.task.status"] == "cancelled"
    assert run.status.status_code is task.status.status_code is StatusCode.UNSET


async def test_the_steps_of_a_chain_are_of_the_submit_that_began_it(spans: Spans) -> None:
    async with running(spans) as engine:
        handle = await engine.submit(report, then=[flaky])
        record = await handle.wait()
        assert record.next_id is not None
        await engine.wait(record.next_id)
    submit = spans.one("submit report")
    assert is_child(spans.one("run report"), submit)
    assert all(is_child(span, submit) for span in spans.named("run flaky"))
    assert is_child(spans.one("task flaky"), submit)


async def test_many_that_are_submitted_at_once_share_a_span(spans: Spans) -> None:
    async with running(spans) as engine:
        for handle in await engine.submit_many(report, [None] * 3):
            await handle.wait()
    submit = spans.one("submit report")
    assert about(submit)["messaging.batch.message_count"] == 3
    assert len(spans.named("run report")) == 3
    assert all(is_child(span, submit) for span in spans.named("run report"))


async def test_the_trace_goes_on_after_a_restart(spans: Spans) -> None:
    backend = MemoryBackend()
    async with running(spans, backend=backend) as engine:
        handle = await engine.submit(resumes)
        await anyio.sleep(1)  # left while it runs: it is pending again
        assert handle.record.trace is not None
    assert spans.named("task resumes") == []
    later = Spans()
    async with running(later, backend=backend) as engine:
        await engine.wait(handle.id)
    submit = spans.one("submit resumes")
    assert is_child(spans.one("run resumes"), submit)
    assert is_child(later.one("run resumes"), submit)
    assert is_child(later.one("task resumes"), submit)
    assert about(later.one("task resumes"))["cortex_tasks.task.attempts"] == 2


async def test_an_attempt_that_a_crash_cut_short_has_a_span_after_the_restart(
    spans: Spans,
) -> None:
    async with TaskHarness(resumes, endless, tracer=spans.tracing) as harness:
        lost, taken_up = await harness.submit(endless), await harness.submit(resumes)
        await anyio.sleep(1)
        await harness.crash()
        await taken_up.wait()
        await lost.wait()
    cut = [span for span in spans.all if about(span).get("error.type") == "interrupted"]
    assert {span.name for span in cut} >= {"run endless", "run resumes"}
    assert all(is_child(span, spans.one(f"submit {span.name[4:]}")) for span in cut)
    assert spans.one("task endless").status.status_code is StatusCode.ERROR


async def test_a_request_goes_on_with_the_trace_of_its_client(spans: Spans) -> None:
    async with running(spans) as engine:
        app = TracedRequests(create_app(engine), spans.provider)
        headers = {"traceparent": PARENT, "tracestate": "vendor=1"}
        async with client_of(app) as client:
            body = {"task_type": "report", "params": {}}
            answer = await client.post("/api/tasks", json=body, headers=headers)
            assert answer.status_code in (200, 201, 202), answer.text
            task_id = answer.json()["task_id"]
            record = await engine.wait(task_id)
            await client.get(f"/api/tasks/{task_id}?wait=0")
            await client.get("/nowhere")
    request = spans.one("POST /api/tasks")
    assert request.parent is not None
    assert trace.format_span_id(request.parent.span_id) == PARENT.split("-")[2]
    assert request.kind is SpanKind.SERVER
    assert about(request)["http.response.status_code"] == answer.status_code
    assert about(request)["http.route"] == "/api/tasks"
    assert is_child(spans.one("submit report"), request)
    assert isinstance(record.trace, TraceContext)
    assert record.trace.state == "vendor=1"
    assert record.trace.parent.split("-")[1] == PARENT.split("-")[1]
    shown = spans.one("GET /api/tasks/{task_id}")
    assert task_id not in shown.name
    assert "wait" not in str(about(shown)["url.path"])
    assert spans.one("GET").status.status_code is StatusCode.UNSET  # 404 is the client's fault


async def test_a_program_without_an_sdk_keeps_no_trace() -> None:
    async with an_engine(report, tracer=Tracing()) as engine:
        record = await (await engine.submit(report)).wait()
        assert record.trace is None


def test_nothing_imports_opentelemetry_that_is_not_told_to_trace() -> None:
    code = "import sys, cortex_tasks, cortex_tasks.http.server, cortex_tasks.testing; "
    code += "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
