"""`GET /metrics`: what Prometheus collects, in its text format or in that of OpenMetrics.

Everything is counted elsewhere (engine/statistics.py, measuring.py) and only written down here,
under names that docs/monitoring.md lists. Each application has a registry of its own, so that two
of them in one process do not get in each other's way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING

from ..engine.errors import EngineError
from ..engine.lifecycle import TaskStatus
from ..engine.overview import TypeState
from ..engine.statistics import Histogram, TypeStatistics
from .calls import Answer, Call, Media
from .envelope import HEADERS
from .extras import from_extra
from .webhooks.model import Backlog, DeliveryState

with from_extra("server"):
    from prometheus_client import (
        CollectorRegistry,
        GCCollector,
        PlatformCollector,
        ProcessCollector,
        generate_latest,
    )
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
    from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
    from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from ..jobs.library.views import Statistics as LibraryStatistics
    from .services import Services

TEXT = "text/plain; version=0.0.4; charset=utf-8"
MEGABYTE = 2**20

# Of an attempt to tell a webhook, by the state of the delivery after it.
OUTCOMES = {
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.WAITING: "failed",
    DeliveryState.DEAD: "given_up",
}

TEXT_BODY = Media("text/plain", "Prometheus' own format.")
OPENMETRICS_BODY = Media("application/openmetrics-text", "OpenMetrics, where `Accept` prefers it.")


async def show_metrics(call: Call[None]) -> Answer:
    """Write down all that is counted."""
    services = call.services
    found: LibraryStatistics | None = None
    if services.has_library and await services.library.reachable():
        found = await services.library.stats()
    backlogs: Mapping[str, Backlog] | None = None
    if services.has_webhooks:
        # What cannot be read is left out: all the rest is told, now of all times.
        with suppress(EngineError):
            backlogs = await services.webhooks.backlogs()
    accept = call.scope[HEADERS].get(b"accept", b"").decode("latin-1")
    body, content_type = services.metrics.write(
        found, backlogs, openmetrics=wants_openmetrics(accept)
    )
    return Answer(body, content_type=content_type.encode())


def wants_openmetrics(accept: str) -> bool:
    """Whether OpenMetrics is preferred to the older format, by an Accept header."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for part in accept.split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name == "q":
                weight = _number(value)
        if kind in weights:
            weights[kind] = max(weights[kind], weight)
    return 0 < weights["application/openmetrics-text"] >= weights["text/plain"]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


class Metrics:
    """All metrics of one application."""

    def __init__(self, services: Services) -> None:
        self._library = LibraryMetrics()
        self._webhooks = WebhookMetrics(services)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(EngineMetrics(services))
        self._registry.register(HttpMetrics(services))
        self._registry.register(self._library)
        self._registry.register(self._webhooks)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def write(
        self,
        library: LibraryStatistics | None,
        backlogs: Mapping[str, Backlog] | None,
        *,
        openmetrics: bool = False,
    ) -> tuple[bytes, str]:
        """Give the text and its content type. `library` and `backlogs` (what each webhook is owed):
        as they are now, where there are any.
        """
        self._library.found = library
        self._webhooks.backlogs = backlogs
        if openmetrics:
            text: bytes = generate_openmetrics(self._registry)  # type: ignore[no-untyped-call]  # it has no types
            return text, OPENMETRICS
        return generate_latest(self._registry), TEXT


class EngineMetrics(Collector):
    """Tasks, and the engine's own pace."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        services, engine = self._services, self._services.engine
        yield _gauge("build", "1, with the version", 1, version=services.version)
        yield _gauge("accepting", "Whether a submit can be taken", float(engine.accepting))
        yield _gauge(
            "storage_failed",
            "Whether the storage has failed: nothing is accepted any more",
            float(engine.trouble is not None),
        )
        yield self._tasks()
        yield from self._types()
        statistics = engine.statistics
        yield _histogram("commit_seconds", "How long commits took", [((), statistics.commit)])
        yield _histogram(
            "commit_changes", "How many changes a commit kept", [((), statistics.batch)]
        )
        yield _histogram(
            "loop_lag_seconds",
            "How late the event loop was, a few times a second",
            [((), statistics.lag)],
        )
        sizes = GaugeMetricFamily(
            "cortex_tasks_storage_bytes", "What the storage takes, by part", labels=["part"]
        )
        for part, size in engine.storage_sizes.items():
            sizes.add_metric([part], size)
        yield sizes

    def _tasks(self) -> Metric:
        engine = self._services.engine
        family = GaugeMetricFamily(
            "cortex_tasks_tasks",
            "Tasks that are kept, by type and status",
            labels=["type", "status"],
        )
        for name, counts in sorted(engine.overview.counts().items()):
            for status, count in counts.items():
                family.add_metric([name, status.value], count)
        return family

    def _types(self) -> Iterator[Metric]:
        engine = self._services.engine
        now = engine.overview.now
        gauges: list[tuple[str, str, Callable[[TypeState], float]]] = [
            ("concurrency", "How many of a type run at a time at most", lambda t: t.concurrency),
            ("paused", "Whether nothing more of a type is started", lambda t: t.paused),
            ("delayed", "Pending tasks that wait for their time", lambda t: t.delayed),
            (
                "oldest_pending_seconds",
                "How long the task that has waited longest has waited for a place",
                lambda t: _since(t.oldest_pending_at, now),
            ),
        ]
        states = engine.overview.types()
        for name, text, state_of in gauges:
            gauge = GaugeMetricFamily(f"cortex_tasks_{name}", text, labels=["type"])
            for state in states:
                engine.statistics.of(state.name)  # there from the start, as 0
                gauge.add_metric([state.name], state_of(state))
            yield gauge
        by_type = sorted(engine.statistics.by_type.items())
        for name, text, read in _COUNTERS:
            family = CounterMetricFamily(f"cortex_tasks_{name}", text, labels=["type"])
            for task_type, counted in by_type:
                family.add_metric([task_type], read(counted))
            yield family
        ended = CounterMetricFamily(
            "cortex_tasks_ended", "Tasks that became final", labels=["type", "status"]
        )
        for task_type, counted in by_type:
            for status in TaskStatus:
                if status.final:
                    ended.add_metric([task_type, status.value], counted.ended[status])
        yield ended
        for name, text, pick in _HISTOGRAMS:
            rows = [((task_type,), pick(counted)) for task_type, counted in by_type]
            yield _histogram(name, text, rows, "type")


_COUNTERS: tuple[tuple[str, str, Callable[[TypeStatistics], int]], ...] = (
    ("submitted", "Tasks that were submitted", lambda one: one.submitted),
    ("retries", "Attempts that failed and were followed by another", lambda one: one.retries),
    ("requeues", "Attempts that a stop or restart put back", lambda one: one.requeues),
    ("interruptions", "Attempts that a crash cut short", lambda one: one.interruptions),
)
_HISTOGRAMS: tuple[tuple[str, str, Callable[[TypeStatistics], Histogram]], ...] = (
    ("wait_seconds", "From being ready to the start of an attempt", lambda one: one.wait),
    ("run_seconds", "From the start of an attempt to its end", lambda one: one.run),
    ("stop_seconds", "From a cancel of a running task to its end", lambda one: one.stop),
)


class HttpMetrics(Collector):
    """Requests, by the path of their route: never by that which was asked for."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        counted = self._services.requests
        yield _gauge("http_open_requests", "Requests under way, streams among them", counted.open)
        answers = CounterMetricFamily(
            "cortex_tasks_http_requests",
            "Requests that were answered",
            labels=["method", "route", "status"],
        )
        for (method, route, status), count in sorted(counted.answers.items()):
            answers.add_metric([method, route, str(status)], count)
        yield answers
        cut_off = CounterMetricFamily(
            "cortex_tasks_http_cut_off",
            "Requests that ended without an answer",
            labels=["method", "route"],
        )
        for key, count in sorted(counted.cut_off.items()):
            cut_off.add_metric(key, count)
        yield cut_off
        yield _histogram(
            "http_request_seconds",
            "From a request to the beginning of its answer",
            sorted(counted.seconds.items(), key=lambda item: item[0]),
            "method",
            "route",
        )


class LibraryMetrics(Collector):
    """How large the library is, where there is one that can be read."""

    def __init__(self) -> None:
        self.found: LibraryStatistics | None = None

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        found = self.found
        if found is None:
            return
        documents = GaugeMetricFamily(
            "cortex_tasks_library_documents", "Documents, by status", labels=["status"]
        )
        for status in ("pending", "processing", "completed", "failed"):
            documents.add_metric([status], getattr(found, f"{status}_count"))
        yield documents
        for kind, count in (
            ("chunks", found.chunk_count),
            ("entities", found.entity_count),
            ("relationships", found.relationship_count),
            ("communities", found.community_count),
        ):
            yield _gauge(f"library_{kind}", f"{kind.capitalize()} of the library", count)
        yield _gauge("library_bytes", "Size of all documents", found.total_size)
        if found.disk_free_mb is not None:
            free = found.disk_free_mb * MEGABYTE
            yield _gauge("disk_free_bytes", "Room on the disk that holds the library", free)


class WebhookMetrics(Collector):
    """What webhooks are owed, and how their attempts go, where there are webhooks to keep."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.backlogs: Mapping[str, Backlog] | None = None

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        if self.backlogs is None:
            return
        attempts = CounterMetricFamily(
            "cortex_tasks_webhook_attempts",
            "Attempts to tell a webhook, by what became of the delivery",
            labels=["webhook", "outcome"],
        )
        deliveries = GaugeMetricFamily(
            "cortex_tasks_webhook_deliveries",
            "What a webhook is still to be told, and what was given up",
            labels=["webhook", "state"],
        )
        oldest = GaugeMetricFamily(
            "cortex_tasks_webhook_oldest_waiting_seconds",
            "How long ago the task ended that it has longest not been told of",
            labels=["webhook"],
        )
        now, counted = self._services.engine.overview.now, self._services.webhooks.attempts
        for hook_id, owed in self.backlogs.items():
            for state, outcome in OUTCOMES.items():
                attempts.add_metric([hook_id, outcome], counted[hook_id, state])
            deliveries.add_metric([hook_id, "waiting"], owed.waiting)
            deliveries.add_metric([hook_id, "dead"], owed.dead)
            oldest.add_metric([hook_id], _since(owed.waiting_since, now))
        yield from (attempts, deliveries, oldest)


def _since(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())


def _gauge(name: str, text: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(f"cortex_tasks_{name}", text, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _histogram(
    name: str, text: str, rows: Iterable[tuple[tuple[str, ...], Histogram]], *labels: str
) -> Metric:
    family = HistogramMetricFamily(f"cortex_tasks_{name}", text, labels=labels)
    for values, histogram in rows:
        bounds = [f"{bound:g}" for bound in histogram.bounds] + ["+Inf"]
        buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
        family.add_metric(values, buckets=buckets, sum_value=histogram.sum)
    return family
