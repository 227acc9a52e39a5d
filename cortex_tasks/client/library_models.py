"""What the server answers about its library and the four jobs on it, likewise."""

from __future__ import annotations

from datetime import datetime

import msgspec

from .models import Task


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The task that does what was asked for; no task if there was nothing to do."""

    task_id: str | None = None
    status: str = ""
    message: str = ""
    deduplicated: bool = False  # it was under way already
    chain: tuple[str, ...] = ()  # what follows that task
    pending_count: int = 0  # of document processing
    concurrency: int = 0  # likewise


class Aborted(msgspec.Struct, frozen=True, kw_only=True):
    """What an abort has stopped."""

    documents_cancelled: int
    chain_tasks_cancelled: int
    tasks_cancelled: list[str]
    tasks_still_running: list[str] = []
    documents_reset: int = 0


class InstanceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether stopping the server would interrupt anyone's work, and whose."""

    safe_to_redeploy: bool
    reasons: list[str]
    running_task_count: int
    running_tasks: list[Task] = []


class UploadedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it was taken in; `task_id` is the task that processes it, if one does."""

    document_id: str
    filename: str = ""
    status: str = ""
    message: str = ""
    source: str | None = None
    task_id: str | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document."""

    document_id: str
    filename: str
    file_type: str
    file_size: int
    upload_date: datetime
    collection_id: str | None = None
    source: str | None = None
    status: str
    error: str | None = None
    chunk_count: int = 0
    entity_count: int = 0


class DocumentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some documents, newest first, and how many match in all."""

    documents: list[Document]
    total: int
    limit: int
    offset: int


class PendingDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """Documents that wait to be processed, oldest first; the count is of all of them."""

    pending_count: int
    documents: list[Document]


class DocumentText(msgspec.Struct, frozen=True, kw_only=True):
    """A document's text."""

    document_id: str
    filename: str
    file_type: str
    content: str


class DeletedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The document that is gone."""

    document_id: str
    deleted: bool
    message: str = ""


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """An entity over all documents."""

    name: str
    type: str
    description: str = ""
    mention_count: int = 0


class EntityPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some entities, most mentioned first; `total` counts all that match."""

    entities: list[Entity]
    total: int


class Relationship(msgspec.Struct, frozen=True, kw_only=True):
    """A relationship as seen from one of its ends; `target` is the other end."""

    target: str
    type: str
    description: str
    weight: float
    confidence: float
    extraction_method: str
    direction: str


class EntityDetail(Entity, frozen=True, kw_only=True):
    """An entity with its strongest relationships and the documents that mention it most."""

    document_count: int = 0
    relationships: list[Relationship] = []
    mentioned_in: list[str] = []


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """An entity to draw."""

    id: str
    label: str
    type: str
    description: str
    community_id: int | None
    mention_count: int


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A relationship to draw."""

    source: str
    target: str
    type: str
    description: str
    weight: float


class PictureCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the graph a picture shows."""

    node_count: int
    edge_count: int
    total_entities: int
    total_relationships: int


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The most mentioned entities and the strongest relationships among them."""

    nodes: list[Node]
    edges: list[Edge]
    stats: PictureCounts


class GraphStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the graph holds and when it was last worked on."""

    entity_count: int
    relationship_count: int
    community_count: int
    summarized_community_count: int
    entity_relationship_ratio: float
    last_relationship_analysis_at: datetime | None = None
    last_community_detection_at: datetime | None = None


class Community(msgspec.Struct, frozen=True, kw_only=True):
    """A community as lists show it."""

    id: int
    name: str | None = None
    description: str = ""
    summary: str | None = None
    entity_count: int = 0
    document_count: int = 0
    top_entities: list[str] = []
    has_summary: bool = False
    stale: bool = False
    created_at: datetime | None = None
    collection_id: str | None = None


class CommunityPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some communities, largest first, and how many there are in all."""

    communities: list[Community]
    total: int


class CommunityDetail(Community, frozen=True, kw_only=True):
    """A community with its strongest members, relationships among them, and their documents."""

    entities: list[Entity] = []
    key_relationships: list[Edge] = []
    documents: list[Document] = []


class CommunityHit(msgspec.Struct, frozen=True, kw_only=True):
    """A community that answers a query; `score` is 0 to 1."""

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


class DeletedCommunities(msgspec.Struct, frozen=True, kw_only=True):
    """How many communities are gone."""

    deleted: int
    message: str = ""


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over the whole library."""

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
    entity_relationship_ratio: float
    total_size: int
    last_relationship_analysis_at: datetime | None = None
    last_community_detection_at: datetime | None = None
    disk_free_mb: int | None = None
    disk_total_mb: int | None = None
