"""The calls about communities. An id is a number, or `comm_` and the number."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..jobs.library.views import CommunityHit, CommunityOverview, Edge
from ..jobs.model import Entity
from .calls import Answer, Call, encode
from .documents import DocumentList, DocumentView
from .documents import view as document_view
from .parameters import alias
from .problems import Problem

_ID = re.compile(r"(?:comm_)?(\d{1,18})", re.ASCII)


class CommunityView(msgspec.Struct, frozen=True, kw_only=True):
    """A community as lists show it."""

    id: int
    community_id: str
    name: str
    description: str
    summary: str
    entity_count: int
    document_count: int
    top_entities: list[str]
    sample_entities: list[str]
    has_summary: bool
    stale: bool
    created_at: datetime
    collection_id: str | None


class CommunityList(msgspec.Struct, frozen=True):
    """Some communities, largest first, and how many there are in all."""

    communities: list[CommunityView]
    total: int


class CommunityDetailView(CommunityView, frozen=True, kw_only=True):
    """A community on its own, with its 200 strongest members and 50 documents."""

    entities: list[Entity]
    key_relationships: list[Edge]
    documents: list[DocumentView]


class MembersPage(msgspec.Struct, frozen=True):
    """Which of a community's members to list."""

    limit: Annotated[int, Meta(ge=0)] = 200
    offset: Annotated[int, Meta(ge=0, extra=alias("skip"))] = 0


class SpokenPage(msgspec.Struct, frozen=True):
    """Which of the documents to list that speak of a community's members."""

    limit: Annotated[int, Meta(ge=0)] = 50
    offset: Annotated[int, Meta(ge=0, extra=alias("skip"))] = 0


class FoundList(msgspec.Struct, frozen=True):
    """The communities that answer a query, best first."""

    query: str
    results: list[CommunityHit]
    total: int


class CommunitiesDeleted(msgspec.Struct, frozen=True):
    """How many communities are gone."""

    deleted: int
    message: str


class CommunityPage(msgspec.Struct, frozen=True):
    """Which communities to list."""

    collection_id: str | None = None
    limit: Annotated[int, Meta(ge=0)] = 100
    offset: Annotated[int, Meta(ge=0, extra=alias("skip"))] = 0


class CommunityQuery(msgspec.Struct, frozen=True):
    """What to look for."""

    query: Annotated[str, Meta(extra=alias("q"))]
    limit: Annotated[int, Meta(ge=0)] = 20


class CommunityScope(msgspec.Struct, frozen=True):
    """Whose communities: of one collection, or all."""

    collection_id: str | None = None


async def list_communities(call: Call[CommunityPage]) -> Answer:
    """List communities, largest first."""
    wanted = call.params
    page = await call.services.library.communities.page(
        limit=wanted.limit, offset=wanted.offset, collection_id=wanted.collection_id
    )
    views = [CommunityView(**_shown(community)) for community in page.communities]
    return Answer(encode(CommunityList(views, page.total)))


async def search_communities(call: Call[CommunityQuery]) -> Answer:
    """Find communities by words."""
    found = await call.services.library.communities.search(
        call.params.query, limit=call.params.limit
    )
    return Answer(encode(FoundList(found.query, found.results, found.total)))


async def show_community(call: Call[None]) -> Answer:
    """Show one community with its members."""
    community = await call.services.library.communities.get(_id(call.path("community_id")))
    shown = CommunityDetailView(
        **_shown(community),
        entities=community.entities,
        key_relationships=community.key_relationships,
        documents=[document_view(document) for document in community.documents],
    )
    return Answer(encode(shown))


async def list_community_entities(call: Call[MembersPage]) -> Answer:
    """List a community's members, strongest first: `show_community` gives the first 200."""
    page = await call.services.library.communities.members(
        _id(call.path("community_id")), limit=call.params.limit, offset=call.params.offset
    )
    return Answer(encode(page))


async def list_community_documents(call: Call[SpokenPage]) -> Answer:
    """List the documents that speak of a community's members, those that do most first."""
    page = await call.services.library.communities.documents(
        _id(call.path("community_id")), limit=call.params.limit, offset=call.params.offset
    )
    views = [document_view(document) for document in page.documents]
    return Answer(encode(DocumentList(views, page.total, page.limit, page.offset)))


async def delete_community(call: Call[None]) -> Answer:
    """Delete one community; its entities stay."""
    number = _id(call.path("community_id"))
    await call.services.library.communities.delete(number)
    return Answer(encode(CommunitiesDeleted(1, f"Community {number} deleted")))


async def delete_communities(call: Call[CommunityScope]) -> Answer:
    """Delete all communities; their entities stay."""
    deleted = await call.services.library.communities.delete_all(
        collection_id=call.params.collection_id
    )
    return Answer(encode(CommunitiesDeleted(deleted, f"Deleted {deleted} communities")))


def _id(text: str) -> int:
    found = _ID.fullmatch(text)
    if found is None:
        raise Problem(404, "Not found", f"Community {text!r} not found: an id is like 5 or comm_5")
    return int(found.group(1))


def _shown(community: CommunityOverview) -> dict[str, Any]:
    shown = {name: getattr(community, name) for name in CommunityOverview.__struct_fields__}
    return shown | {"community_id": f"comm_{community.id}"}
