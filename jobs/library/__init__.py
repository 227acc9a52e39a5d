"""The library of documents and graph that the four jobs work on."""

from typing import TYPE_CHECKING, Any

from .errors import (
    ClaimLost,
    CommunityNotFound,
    DocumentNotFound,
    DocumentRefused,
    DuplicateDocument,
    EmptyDocument,
    EntityNotFound,
    LibraryClosed,
    NotInLibrary,
    UnsupportedFileType,
    UnusableName,
)

if TYPE_CHECKING:
    from .library import Library

__all__ = [
    "ClaimLost",
    "CommunityNotFound",
    "DocumentNotFound",
    "DocumentRefused",
    "DuplicateDocument",
    "EmptyDocument",
    "EntityNotFound",
    "Library",
    "LibraryClosed",
    "NotInLibrary",
    "UnsupportedFileType",
    "UnusableName",
]


def __getattr__(name: str) -> Any:
    # The library alone stands on what the extra `jobs` brings. Its neighbours here (lock files, the
    # database) serve keys and webhooks too, which have to do without that extra.
    if name == "Library":
        from .library import Library  # noqa: PLC0415 - for the reason above

        return Library
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
