"""GET /metrics: what Prometheus is told is what happened, under names that the pages know."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.engine.errors import StorageError
from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.http.metrics import wants_openmetrics
from cortex_tasks.jobs.library import Library

from .engine_setting import FailingBackend, an_engine
from .http_setting import (
    Api,
    a_key_store,
    assert_problem,
    echo,
    endless,
    failing,
    serving,
)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> Samples:
    """Read what is given; each sample is to be given once, or Prometheus has to choose."""
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in samples
            samples[key] = sample.value
    return samples


async def scrape(api: Api, **headers: str) -> Samples:
    response = await api.get("/metrics", headers=headers)
    assert response.status_code == 200
    return read(response.text)


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"cortex_tasks_{name}", tuple(sorted(labels.items()))]


async def test_metrics_count_tasks_by_type_and_status() -> None:
    async with serving(echo, failing, endless) as api:
        for _ in range(3):
            await api.ended("echo", {"value": 1})
        await api.ended("failing")
        await api.running("endless")
        samples = await scrape(api)
        assert of(samples, "tasks", type="echo", status="completed") == 3
        assert of(samples, "tasks", type="failing", status="failed") == 1
        assert of(samples, "tasks", type="endless", status="running") == 1
        assert of(samples, "tasks", type="endless", status="pending") == 0
        assert of(samples, "submitted_total", type="echo") == 3
        assert of(samples, "ended_total", type="failing", status="failed") == 1
        assert of(samples, "run_seconds_count", type="echo") == 3
        assert of(samples, "wait_seconds_count", type="endless") == 1
        assert of(samples, "run_seconds_bucket", type="echo", le="+Inf") == 3


async def test_metrics_tell_what_waits_and_what_is_paused() -> None:
    async with serving(endless) as api:
        await api.engine.submit("endless", delay=3600)
        await api.post("/api/task-types/endless/pause")
        await api.engine.submit("endless")
        samples = await scrape(api)
        assert of(samples, "paused", type="endless") == 1
        assert of(samples, "delayed", type="endless") == 1
        assert of(samples, "oldest_pending_seconds", type="endless") > 0
        assert of(samples, "tasks", type="endless", status="pending") == 2


async def test_metrics_tell_how_long_a_cancelled_task_took_to_stop() -> None:
    async with serving(endless) as api:
        task_id = await api.running("endless")
        await api.delete(f"/api/tasks/{task_id}")
        samples = await scrape(api)
        assert of(samples, "stop_seconds_count", type="endless") == 1
        assert of(samples, "ended_total", type="endless", status="cancelled") == 1


async def test_requests_are_counted_by_route_and_never_by_path() -> None:
    async with serving(echo) as api:
        task_id = await api.ended("echo", {"value": 1})
        await api.get(f"/api/tasks/{task_id}")
        await api.get("/api/tasks/task_unknown")
        await api.get("/nowhere/at/all")
        await api.ask("BREW", "/coffee")
        samples = await scrape(api)
        route = {"method": "GET", "route": "/api/tasks/{task_id}"}
        assert of(samples, "http_requests_total", status="200", **route) == 1
        assert of(samples, "http_requests_total", status="404", **route) == 1
        assert of(samples, "http_request_seconds_count", **route) == 2
        unmatched = {"route": "unmatched", "status": "404"}
        assert of(samples, "http_requests_total", method="GET", **unmatched) == 1
        assert of(samples, "http_requests_total", method="other", **unmatched) == 1
        assert of(samples, "http_open_requests") == 1  # this one
        assert task_id not in str(samples)


async def test_metrics_need_a_key_that_may_read(tmp_path: Path) -> None:
    keys = a_key_store(tmp_path)
    async with serving(echo, keys=keys) as api:
        assert_problem(await api.get("/metrics"), 401)
        secret = keys.create("prometheus", ["read"])
        await scrape(api, authorization=f"Bearer {secret}")


async def test_metrics_can_be_opened_to_anybody_and_nothing_else_is(tmp_path: Path) -> None:
    async with serving(echo, keys=a_key_store(tmp_path), open_metrics=True) as api:
        await scrape(api)
        assert_problem(await api.get("/api/tasks"), 401)


async def test_two_applications_in_one_process_do_not_clash() -> None:
    async with serving(echo) as first, serving(echo) as second:
        await first.ended("echo")
        assert of(await scrape(first), "submitted_total", type="echo") == 1
        assert of(await scrape(second), "submitted_total", type="echo") == 0


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3", True),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.3", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=many", False),
        ("application/openmetrics-text;q=nan", False),
        (";;==,,q", False),
    ],
)
def test_the_format_is_the_one_that_is_preferred(accept: str, wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted


async def test_openmetrics_is_spoken_to_whoever_prefers_it() -> None:
    async with serving(echo) as api:
        await api.ended("echo")
        kind = "application/openmetrics-text"
        response = await api.get("/metrics", headers={"accept": f"{kind};version=1.0.0"})
        assert response.headers["content-type"].startswith(kind)
        names = {family.name for family in parse_openmetrics(response.text)}  # type: ignore[no-untyped-call]  # it has no types
        assert {
            "cortex_tasks_submitted",
            "cortex_tasks_run_seconds",
            "process_cpu_seconds",
        } <= names
        plain = await api.get("/metrics")
        assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_metrics_tell_that_the_storage_has_failed() -> None:
    backend = FailingBackend()
    with pytest.raises(StorageError):  # also when it is left
        async with serving(engine=an_engine(echo, backend=backend)) as api:
            assert of(await scrape(api), "storage_failed") == 0
            backend.failure = OSError("gone")
            with pytest.raises(StorageError):
                await api.engine.submit("echo", {})
            samples = await scrape(api)
            assert of(samples, "storage_failed") == 1
            assert of(samples, "accepting") == 0


async def test_metrics_measure_the_journal_and_the_library(tmp_path: Path) -> None:
    async with Library.in_memory(offload=offload_inline) as library:
        engine = an_engine(echo, backend=JsonBackend(tmp_path, offload=offload_inline))
        async with serving(engine=engine, library=library) as api:
            await api.ended("echo", {"value": "x" * 1000})
            form = {"file": ("a.md", b"# Title\n\nText.")}
            await api.post("/api/upload", files=form)
            samples = await scrape(api)
            journal = sum(path.stat().st_size for path in tmp_path.glob("journal-*.jsonl"))
            assert of(samples, "storage_bytes", part="journal") == journal > 1000
            assert of(samples, "library_documents", status="pending") == 1
            assert of(samples, "library_bytes") == 14
