"""community_summarization: a name and a summary for each community, out of the texts themselves.

One community at a time, each stored as soon as it is written, so that stopping loses none. A good
summary is kept unless it is stale or all are to be written anew, and an empty one is never stored.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ..engine.context import TaskContext
from ..engine.errors import ChildCrashed, EngineError
from ..engine.registry import TaskType, task_type
from .errors import NothingDone
from .library import CommunityNotFound, Library
from .library.summaries import CommunityState, SummaryMaterial

NAME = "community_summarization"

Outcome = Literal["summarized", "skipped", "failed"]


class CommunitySummarization(msgspec.Struct, frozen=True, kw_only=True):
    """Which communities to summarise."""

    community_ids: list[int] | None = None  # None: all
    force_regenerate: bool = False  # also those that have a summary which still fits


class SummarizedCommunity(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one community; name and summary are those it has now."""

    id: int
    status: Outcome
    name: str
    summary: str
    reason: str


class SummarizedCommunities(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each community."""

    results: list[SummarizedCommunity]
    total_processed: int
    summaries_generated: int
    summaries_skipped: int
    summaries_failed: int
    message: str


def community_summarization(
    library: Library,
) -> TaskType[CommunitySummarization, SummarizedCommunities]:
    """Declare the type over a library."""

    @task_type(NAME, on_restart="resume")
    async def summarize_communities(
        ctx: TaskContext, params: CommunitySummarization
    ) -> SummarizedCommunities:
        """Summarise communities that need it."""
        await ctx.progress(percent=0, message="Reading the communities")
        states = {each.id: each for each in await library.summaries.states(params.community_ids)}
        wanted = list(
            states if params.community_ids is None else dict.fromkeys(params.community_ids)
        )
        results: list[SummarizedCommunity] = []
        for number, community_id in enumerate(wanted):
            await ctx.progress(
                current=number,
                total=len(wanted),
                message=f"Summarising community {community_id} ({number + 1} of {len(wanted)})",
            )
            state = states.get(community_id)
            if state is None:
                results.append(_gone(community_id))
            elif state.summary and not state.stale and not params.force_regenerate:
                results.append(_result(state, "skipped", "it has a summary that still fits"))
            else:
                results.append(await _summarise(ctx, library, state))
        result = _summed_up(results)
        await ctx.progress(current=len(results), total=len(results), message=result.message)
        return result

    return summarize_communities


async def _summarise(
    ctx: TaskContext, library: Library, state: CommunityState
) -> SummarizedCommunity:
    """Write one summary; raises only what is no fault of the community."""
    try:
        material = await library.summaries.material(state.id)
        written = await ctx.run_in_child(write_summary, material)
        if written is None:
            return _result(state, "failed", "no sentence of its texts can stand in a summary")
        name, summary = written
        await library.summaries.store_summary(state.id, name, summary, drift=material.drift)
    except CommunityNotFound:
        return _gone(state.id)
    except Exception as error:
        if isinstance(error, EngineError) and not isinstance(error, ChildCrashed):
            raise
        ctx.log.exception("community %s could not be summarised", state.id)
        return _result(state, "failed", f"{type(error).__name__}: {error}")
    reason = "its members have changed much" if state.stale else ""
    written_state = CommunityState(id=state.id, name=name, summary=summary, stale=False)
    return _result(written_state, "summarized", reason)


def write_summary(material: SummaryMaterial) -> tuple[str, str] | None:
    """Give a name and a summary, or None if the texts give none. In a child process."""
    from .methods.summaries import summarise  # noqa: PLC0415 - only the child needs what it loads

    written = summarise(
        material.members, material.chunks, material.mentions, chunk_count=material.chunk_count
    )
    return None if written is None else (written.name, written.summary)


def _gone(community_id: int) -> SummarizedCommunity:
    nothing = CommunityState(id=community_id, name="", summary="", stale=False)
    return _result(nothing, "failed", "there is no such community, or no longer")


def _result(state: CommunityState, status: Outcome, reason: str) -> SummarizedCommunity:
    return SummarizedCommunity(
        id=state.id, status=status, name=state.name, summary=state.summary, reason=reason
    )


def _summed_up(results: list[SummarizedCommunity]) -> SummarizedCommunities:
    """Make the result. Raises NothingDone if there were communities and all of them failed."""
    counts = {
        status: sum(each.status == status for each in results)
        for status in ("summarized", "skipped", "failed")
    }
    if results and counts["failed"] == len(results):
        reasons = "; ".join(f"community {each.id}: {each.reason}" for each in results[:5])
        raise NothingDone(f"None of {len(results)} communities could be summarised: {reasons}")
    message = f"Summarised {counts['summarized']} of {len(results)} communities"
    return SummarizedCommunities(
        results=results,
        total_processed=len(results),
        summaries_generated=counts["summarized"],
        summaries_skipped=counts["skipped"],
        summaries_failed=counts["failed"],
        message=message,
    )
