"""Children for tests: those of the harness that users get, by the name that this suite knows."""

from __future__ import annotations

from cortex_tasks.testing.children import Hook, InlineChildren

__all__ = ["Hook", "InlineChildren"]
