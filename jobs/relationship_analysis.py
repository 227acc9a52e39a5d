"""relationship_analysis: relationships between entities that no single text states.

Candidates (alike in what is said of them, or met in several documents) are found and read in a
child process, then stored in one transaction: until that moment nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from ..engine.context import TaskContext
from ..engine.registry import TaskType, task_type
from .library import Library
from .library.corpus import Corpus, CorpusFile
from .library.graph import ratio
from .model import Relation

NAME = "relationship_analysis"
TARGET_RATIO = 2.0  # relationships per entity; below it a graph is thin. Only told, never forced
FOUND = 90  # percent of the progress; the rest is storing

Mode = Literal["incremental", "rebuild"]


class RelationshipAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """What to analyse, and whether to keep what earlier analyses found."""

    collection_id: str | None = None  # None: everything
    # incremental: entities mentioned otherwise than at the last analysis, adding to what is known.
    # rebuild: all of them, in place of what earlier analyses of this scope found.
    mode: Mode = "incremental"


class AnalysedRelationships(msgspec.Struct, frozen=True, kw_only=True):
    """What an analysis found and stored."""

    relationships_discovered: int
    relationships_stored: int  # fewer, if entities were deleted meanwhile
    entities_analyzed: int
    collection_id: str | None
    entity_relationship_ratio: float  # relationships per entity, in the whole library
    target_ratio: float
    rounds_completed: int
    total_relationships: int  # in the whole library, of every kind
    discovery_mode: Mode
    candidate_pairs: int


class Found(msgspec.Struct, frozen=True):
    """What the child process gives back."""

    relations: list[Relation]
    entities: int
    revision: int


def relationship_analysis(
    library: Library,
) -> TaskType[RelationshipAnalysis, AnalysedRelationships]:
    """Declare the type over a library."""

    @task_type(NAME, on_restart="resume")
    async def analyse_relationships(
        ctx: TaskContext, params: RelationshipAnalysis
    ) -> AnalysedRelationships:
        """Find relationships across documents, and store them all at once."""
        rebuild = params.mode == "rebuild"
        await ctx.progress(percent=0, message="Reading the library")
        corpus = await library.corpora.of(params.collection_id, with_relations=False)
        found = await ctx.run_in_child(find_relationships, corpus, rebuild)
        count = len(found.relations)
        await ctx.progress(percent=FOUND, message=f"Storing {count} relationships")
        stored = await library.relationships.replace_cross_collection(
            found.relations,
            collection_id=params.collection_id,
            rebuild=rebuild,
            revision=found.revision,
        )
        await ctx.progress(message=f"Stored {stored.stored} relationships")
        return AnalysedRelationships(
            relationships_discovered=count,
            relationships_stored=stored.stored,
            entities_analyzed=found.entities,
            collection_id=params.collection_id,
            entity_relationship_ratio=ratio(stored.total_relationships, stored.total_entities),
            target_ratio=TARGET_RATIO,
            rounds_completed=1,
            total_relationships=stored.total_relationships,
            discovery_mode=params.mode,
            candidate_pairs=count,
        )

    return analyse_relationships


def find_relationships(
    source: Corpus | CorpusFile, rebuild: bool, report: Callable[..., None]
) -> Found:
    """Find the relationships of all entities, or only of changed ones. In a child process."""
    # Only the child needs what these load.
    from .methods.candidates import discover  # noqa: PLC0415
    from .methods.reporting import share_of  # noqa: PLC0415

    corpus = source.load()
    focus = frozenset(corpus.mentions) if rebuild else corpus.changed
    if not focus:
        return Found([], 0, corpus.revision)

    def tell(current: int, total: int, message: str) -> None:
        report(current=current, total=total, message=message)

    relations = discover(
        corpus.chunks,
        corpus.documents,
        corpus.mentions,
        corpus.types,
        focus=None if rebuild else focus,
        report=share_of(tell, 0, FOUND),
    )
    return Found(relations, len(focus), corpus.revision)
