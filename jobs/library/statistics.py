"""Counts over the whole library."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from .analyses import last_finished
from .graph import ratio
from .views import Statistics

MEGABYTE = 1024 * 1024

_COUNTS = """
SELECT
    (SELECT count(*) FROM chunks),
    (SELECT count(*) FROM entities),
    (SELECT count(*) FROM relationships),
    (SELECT count(*) FROM communities),
    (SELECT count(DISTINCT collection_id) FROM documents),
    (SELECT coalesce(sum(file_size), 0) FROM documents)
"""


def statistics(connection: sqlite3.Connection, path: Path | None) -> Statistics:
    """Count everything as of one moment; `path` tells which disk to measure."""
    chunks, entities, relationships, communities, collections, size = connection.execute(
        _COUNTS
    ).fetchone()
    by_status: dict[str, int] = dict(
        connection.execute("SELECT status, count(*) FROM documents GROUP BY status")
    )
    disk = None if path is None else shutil.disk_usage(path.parent)
    return Statistics(
        document_count=sum(by_status.values()),
        chunk_count=chunks,
        entity_count=entities,
        relationship_count=relationships,
        community_count=communities,
        collection_count=collections,
        pending_count=by_status.get("pending", 0),
        processing_count=by_status.get("processing", 0) + by_status.get("extracting", 0),
        completed_count=by_status.get("completed", 0),
        failed_count=by_status.get("failed", 0),
        entity_type_counts=dict(
            connection.execute(
                "SELECT type, count(*) FROM entities GROUP BY type ORDER BY count(*) DESC, type"
            )
        ),
        entity_relationship_ratio=ratio(relationships, entities),
        total_size=size,
        last_relationship_analysis_at=last_finished(connection, "relationship_analysis"),
        last_community_detection_at=last_finished(connection, "community_detection"),
        disk_free_mb=None if disk is None else disk.free // MEGABYTE,
        disk_total_mb=None if disk is None else disk.total // MEGABYTE,
    )
