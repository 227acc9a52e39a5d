"""What the library keeps and the four jobs pass around: plain frozen data, no behaviour."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec


class DocumentStatus(enum.StrEnum):
    """Where a document is on its way through document_processing."""

    PENDING = "pending"
    PROCESSING = "processing"
    EXTRACTING = "extracting"
    COMPLETED = "completed"
    FAILED = "failed"


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document as the library lists it, without its content."""

    id: str
    filename: str
    file_type: str  # "txt", "md", "html", "rst"
    file_size: int  # bytes
    upload_date: datetime
    status: DocumentStatus
    collection_id: str | None = None
    source: str | None = None
    error: str | None = None
    chunk_count: int = 0
    entity_count: int = 0


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """One typed, directed relationship between two entities, named as the library knows them."""

    source: str
    target: str
    type: str  # one of methods.relations.RELATIONSHIP_TYPES
    description: str  # the sentence that shows it
    weight: float  # 0-10
    confidence: float  # 0-1
    extraction_method: str  # "per_chunk" | "cross_collection"


class ExtractedEntity(msgspec.Struct, frozen=True, kw_only=True):
    """One entity as one document mentions it."""

    name: str
    type: str  # one of methods.entities.ENTITY_TYPES
    description: str  # a sentence of the document, or ""
    mentions: dict[int, int]  # position of the chunk -> how often the chunk mentions it (>= 1)


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """All that document_processing takes from one document."""

    chunks: list[str]  # in reading order; a chunk's position is its index
    entities: list[ExtractedEntity]  # names unique
    relations: list[Relation]  # source and target are names of `entities`; "per_chunk"


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """An entity over all documents."""

    name: str
    type: str
    description: str
    mention_count: int


class CommunityDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A community as detection found it, before it is stored."""

    id: int  # kept from the earlier community of whose members it has most, or new
    members: list[str]  # entity names, by weighted degree, strongest first


class Community(msgspec.Struct, frozen=True, kw_only=True):
    """A stored community."""

    id: int
    name: str  # "" until summarised
    summary: str  # "" until summarised
    members: list[str]  # entity names, strongest first
    created_at: datetime
