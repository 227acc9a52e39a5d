"""What a report of progress changes in a record."""

from __future__ import annotations

from typing import Any

from .messages import ProgressReport
from .records import TaskRecord


def progress_fields(record: TaskRecord, report: ProgressReport) -> dict[str, Any]:
    """Give the fields. The percentage never falls, and is 100 only for a completed task."""
    fields: dict[str, Any] = {}
    percent = report.percent
    if report.current is not None:
        fields["progress_current"] = report.current
    if report.total is not None:
        fields["progress_total"] = report.total
    current, total = report.current, report.total or record.progress_total
    if percent is None and current is not None and total:
        percent = 100 * current / total
    if percent is not None:
        # Bounded before it is made whole: a tiny total makes it infinite.
        fields["progress_percent"] = int(max(record.progress_percent, min(99, percent)))
    if report.message is not None:
        fields["message"] = report.message
    return fields


def joined_reports(
    earlier: ProgressReport | None, later: ProgressReport | None
) -> ProgressReport | None:
    """Make one report of two: the newest of all that was said."""
    if earlier is None or later is None:
        return later or earlier
    return ProgressReport(
        later.task_id,
        later.attempt,
        earlier.percent if later.percent is None else later.percent,
        earlier.current if later.current is None else later.current,
        earlier.total if later.total is None else later.total,
        earlier.message if later.message is None else later.message,
    )
