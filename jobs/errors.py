"""How a job fails as a whole, where none of its parts could be done."""

from __future__ import annotations

from ..engine.errors import CortexTasksError


class NothingDone(CortexTasksError):
    """There was work and all of it failed; the text says what came of how many, and why."""
