"""The four task types that come with the package."""

from __future__ import annotations

import os
from typing import Any

import anyio

from ..engine.registry import TaskType
from .community_detection import community_detection
from .community_summarization import community_summarization
from .document_processing import document_processing
from .library import Library
from .relationship_analysis import relationship_analysis


def builtin_task_types(library: Library) -> list[TaskType[Any, Any]]:
    """Declare the four jobs over a library, which must be open for as long as the engine runs.

    async with Library("data/library.db") as library:
        async with TaskEngine(builtin_task_types(library), backend=...) as engine:
    """
    extracting = anyio.CapacityLimiter(os.cpu_count() or 1)
    return [
        document_processing(library, extracting),
        relationship_analysis(library),
        community_detection(library),
        community_summarization(library),
    ]
