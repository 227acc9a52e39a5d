"""The library of documents and graph that the four jobs work on."""

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
