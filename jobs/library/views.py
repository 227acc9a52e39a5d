"""What the library answers to readers: frozen data, in the field names that clients know."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ..model import Document, Entity


class DocumentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some documents, and how many there are in all."""

    documents: list[Document]
    total: int
    limit: int
    offset: int


class PendingDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """Documents that wait to be processed, oldest first; `pending_count` counts all of them."""

    pending_count: int
    documents: list[Document]


class DocumentContent(msgspec.Struct, frozen=True, kw_only=True):
    """A document with the very bytes that were uploaded."""

    document: Document
    content: bytes


class EntityPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some entities; `total` counts all that match."""

    entities: list[Entity]
    total: int


class EntityRelationship(msgspec.Struct, frozen=True, kw_only=True):
    """A relationship as seen from one of its ends; `target` is the other end."""

    target: str
    type: str
    description: str
    weight: float
    confidence: float
    extraction_method: str
    direction: str  # "outgoing", or "incoming" when it was said of `target` about this entity


class EntityDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One entity with its strongest relationships and the documents that mention it most."""

    name: str
    type: str
    description: str
    mention_count: int
    document_count: int
    relationships: list[EntityRelationship]
    mentioned_in: list[str]  # document ids


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """An entity as the picture of the graph shows it; `id` is what the edges name."""

    id: str
    label: str
    type: str
    description: str
    community_id: int | None
    mention_count: int


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A relationship between two entities, each by its name."""

    source: str
    target: str
    type: str
    description: str
    weight: float


class VisualizationStats(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the graph a picture shows."""

    node_count: int
    edge_count: int
    total_entities: int
    total_relationships: int


class Visualization(msgspec.Struct, frozen=True, kw_only=True):
    """The most mentioned entities and the strongest relationships among them."""

    nodes: list[Node]
    edges: list[Edge]
    stats: VisualizationStats


class GraphStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the graph holds and when it was last worked on."""

    entity_count: int
    relationship_count: int
    community_count: int
    summarized_community_count: int
    entity_relationship_ratio: float  # relationships per entity
    last_relationship_analysis_at: datetime | None
    last_community_detection_at: datetime | None


class CommunityOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A community as lists show it."""

    id: int
    name: str  # "" until summarised
    description: str  # the first sentence of the summary
    summary: str  # "" until summarised
    entity_count: int
    document_count: int
    top_entities: list[str]
    sample_entities: list[str]
    has_summary: bool
    stale: bool  # its members have changed much since the summary was written
    created_at: datetime
    collection_id: str | None


class CommunityPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some communities, largest first; `total` counts all."""

    communities: list[CommunityOverview]
    total: int


class CommunityDetail(CommunityOverview, frozen=True, kw_only=True):
    """A community with its strongest members, relationships among them, and their documents."""

    entities: list[Entity]
    key_relationships: list[Edge]
    documents: list[Document]


class CommunityHit(msgspec.Struct, frozen=True, kw_only=True):
    """A community that answers a query; `score` is 0-1, 1 when all of it is in the name."""

    id: int
    name: str
    summary: str
    entity_count: int
    score: float


class CommunitySearch(msgspec.Struct, frozen=True, kw_only=True):
    """The best answers to a query, and how many communities answer it at all."""

    query: str
    results: list[CommunityHit]
    total: int


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over the whole library, taken at one moment."""

    document_count: int
    chunk_count: int
    entity_count: int
    relationship_count: int
    community_count: int
    collection_count: int
    pending_count: int
    processing_count: int
    completed_count: int
    failed_count: int
    entity_type_counts: dict[str, int]
    entity_relationship_ratio: float  # relationships per entity; 0.0 without entities
    total_size: int  # bytes of all documents
    last_relationship_analysis_at: datetime | None
    last_community_detection_at: datetime | None
    disk_free_mb: int | None  # None when nothing is kept on disk
    disk_total_mb: int | None
