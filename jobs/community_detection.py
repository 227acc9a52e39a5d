"""community_detection: entities that belong together, by the Leiden algorithm.

The graph is weighed and divided in a child process; the communities of the scope are replaced in
one transaction once the new ones are ready. Those that keep most of their members keep their id.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from ..engine.context import TaskContext
from ..engine.registry import TaskType, task_type
from .library import Library
from .library.corpus import Corpus, CorpusFile
from .library.detection import StoredCommunity
from .model import CommunityDraft

NAME = "community_detection"
# Where reading, weighing and dividing end, in percent; the rest is storing.
READ, WEIGHED, DIVIDED = 10, 50, 90


class CommunityDetection(msgspec.Struct, frozen=True, kw_only=True):
    """What to divide, and how small a community may be."""

    min_size: Annotated[int, Meta(ge=2, le=20)] = 3
    collection_id: str | None = None  # None: everything


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """An entity of a community."""

    name: str
    type: str
    description: str


class DetectedCommunity(msgspec.Struct, frozen=True, kw_only=True):
    """A community with all its members, strongest first."""

    id: int
    entities: list[Member]
    entity_count: int
    name: str  # "" until summarised
    summary: str


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """How large the communities are; all 0 where there are none."""

    community_count: int
    total_entities_covered: int
    min_size: int
    max_size: int
    median_size: float
    mean_size: float


class DetectedCommunities(msgspec.Struct, frozen=True, kw_only=True):
    """The communities of a scope as they were stored, largest first."""

    communities: list[DetectedCommunity]
    total: int
    collection_id: str | None
    distribution: Distribution
    modularity: float
    algorithm: str


class Divided(msgspec.Struct, frozen=True):
    """What the child process gives back."""

    drafts: list[CommunityDraft]
    modularity: float
    algorithm: str
    revision: int


def community_detection(library: Library) -> TaskType[CommunityDetection, DetectedCommunities]:
    """Declare the type over a library."""

    @task_type(NAME, on_restart="resume")
    async def detect_communities(
        ctx: TaskContext, params: CommunityDetection
    ) -> DetectedCommunities:
        """Divide the graph into communities, and replace the earlier ones of the scope."""
        await ctx.progress(percent=0, message="Reading the library")
        corpus = await library.corpora.of(params.collection_id, with_relations=True)
        earlier = await library.detection.earlier(params.collection_id)
        members = {community.id: community.members for community in earlier}
        divided = await ctx.run_in_child(divide, corpus, members, params.min_size)
        count = len(divided.drafts)
        await ctx.progress(percent=DIVIDED, message=f"Storing {count} communities")
        stored = await library.detection.replace_communities(
            divided.drafts, params.collection_id, revision=divided.revision
        )
        await ctx.progress(message=f"Detected {len(stored)} communities")
        return DetectedCommunities(
            communities=[_detected(community) for community in stored],
            total=len(stored),
            collection_id=params.collection_id,
            distribution=_distribution([len(community.entities) for community in stored]),
            modularity=divided.modularity,
            algorithm=divided.algorithm,
        )

    return detect_communities


def divide(
    source: Corpus | CorpusFile,
    earlier: dict[int, list[str]],
    min_size: int,
    report: Callable[..., None],
) -> Divided:
    """Weigh the graph and divide it; `earlier` gives old communities by id. In a child process."""
    # Only the child needs what these load.
    from .methods.identity import keep_ids  # noqa: PLC0415
    from .methods.leiden import detect  # noqa: PLC0415
    from .methods.reporting import share_of  # noqa: PLC0415
    from .methods.weights import edge_weights  # noqa: PLC0415

    def tell(current: int, total: int, message: str) -> None:
        report(current=current, total=total, message=message)

    corpus = source.load()
    tell(READ, 100, f"Weighing the ties of {len(corpus.mentions)} entities")
    weighing, dividing = share_of(tell, READ, WEIGHED), share_of(tell, WEIGHED, DIVIDED)
    ties = edge_weights(corpus.mentions, len(corpus.chunks), corpus.relations, report=weighing)
    found = detect(ties, min_size=min_size, report=dividing)
    drafts = keep_ids(earlier, found.communities, next_id=1)  # the library numbers the new ones
    return Divided(drafts, found.modularity, found.algorithm, corpus.revision)


def _detected(community: StoredCommunity) -> DetectedCommunity:
    return DetectedCommunity(
        id=community.id,
        entities=[
            Member(name=entity.name, type=entity.type, description=entity.description)
            for entity in community.entities
        ],
        entity_count=len(community.entities),
        name=community.name,
        summary=community.summary,
    )


def _distribution(sizes: list[int]) -> Distribution:
    return Distribution(
        community_count=len(sizes),
        total_entities_covered=sum(sizes),
        min_size=min(sizes, default=0),
        max_size=max(sizes, default=0),
        median_size=float(statistics.median(sizes or [0])),
        mean_size=round(statistics.mean(sizes or [0]), 2),
    )
