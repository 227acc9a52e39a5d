"""Single flight: when two requests ask for the same work, and so share one task.

Work is the same when nothing that decides its result differs. How fast it goes does not.
"""

from __future__ import annotations

import hashlib

import msgspec

from .community_detection import CommunityDetection
from .community_summarization import CommunitySummarization
from .relationship_analysis import RelationshipAnalysis


def processing_key(collection_id: str | None, generation: int) -> str:
    """The key of document_processing over a scope; with a chain, "/" and its steps follow.

    `generation` is that of the scope's intake: a task that has found nothing left to do no longer
    counts as the one that will take up what was uploaded since.
    """
    return f"{_scope(collection_id)}/{generation}"


def key_of(params: RelationshipAnalysis | CommunityDetection | CommunitySummarization) -> str:
    """The key of a task of the other three types: all of its parameters."""
    match params:
        case RelationshipAnalysis():
            return f"{_scope(params.collection_id)}/{params.mode}"
        case CommunityDetection():
            return f"{_scope(params.collection_id)}/{params.min_size}"
        case CommunitySummarization():
            ids = params.community_ids
            which = "all" if ids is None else _digest(msgspec.json.encode(sorted(set(ids))))
            return f"{which}/{'force' if params.force_regenerate else 'keep'}"


def _scope(collection_id: str | None) -> str:
    # Digested, because a key is short and printable and a collection's name need not be.
    if collection_id is None:
        return "everything"
    return f"collection:{_digest(collection_id.encode('utf-8', 'surrogatepass'))}"


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:24]
