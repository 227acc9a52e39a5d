"""Chains: which jobs follow a job, as a caller names them."""

from __future__ import annotations

from collections.abc import Iterable

from ..engine.errors import InvalidParameters
from . import community_detection, community_summarization, relationship_analysis

STEPS = (relationship_analysis.NAME, community_detection.NAME, community_summarization.NAME)


def parse_chain(chain: str | Iterable[str] | None) -> tuple[str, ...]:
    """Give the steps of a chain, from a comma list or from their names; none for None or "".

    Raises InvalidParameters for a step that is not one of STEPS, or that comes twice.
    """
    names = chain.split(",") if isinstance(chain, str) else chain or ()
    steps = tuple(name for each in names if (name := each.strip()))
    for step in steps:
        if step not in STEPS:
            raise InvalidParameters(
                f"unknown chain step {step[:80]!r}; steps: {', '.join(STEPS)}", path="$.chain"
            )
        if steps.count(step) > 1:
            raise InvalidParameters(f"the chain has {step} more than once", path="$.chain")
    return steps
