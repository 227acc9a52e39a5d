"""What the library refuses, and why.

CortexTasksError
├── CallerError
│   ├── DocumentRefused             nothing was stored (HTTP: 400)
│   │   ├── EmptyDocument
│   │   ├── UnsupportedFileType     (lists those that are supported)
│   │   └── UnusableName            a filename, collection or source that cannot be kept as it is
│   ├── DuplicateDocument           the same name and content is there already (409)
│   ├── NotInLibrary                (404)
│   │   ├── DocumentNotFound
│   │   ├── EntityNotFound
│   │   └── CommunityNotFound
│   └── ClaimLost                   the document is no longer this task's to finish
└── EngineError
    ├── LibraryClosed               not opened yet, or closed already
    └── StorageError …              the file cannot be opened, read or written; see engine.errors
"""

from __future__ import annotations

from collections.abc import Sequence

from ...engine.errors import CallerError, EngineError


class DocumentRefused(CallerError):
    """The document was not taken; nothing was stored."""


class EmptyDocument(DocumentRefused):
    """There is nothing in it."""

    def __init__(self, filename: str) -> None:
        super().__init__(f"{filename!r} is empty; there is nothing to process.")


class UnsupportedFileType(DocumentRefused):
    """No text can be taken from files of this type."""

    def __init__(self, file_type: str, supported: Sequence[str]) -> None:
        super().__init__(
            f"Unsupported file type {file_type!r}; supported types: {', '.join(supported)}"
        )
        self.file_type = file_type
        self.supported = supported


class UnusableName(DocumentRefused):
    """A filename, collection or source is empty, too long, or holds characters no one can type."""


class DuplicateDocument(CallerError):
    """A document with the same name and content exists; `document_id` is its id."""

    def __init__(self, filename: str, document_id: str) -> None:
        super().__init__(
            f"A document named {filename!r} with the same content already exists as "
            f"{document_id}. Delete that one first to upload it again."
        )
        self.document_id = document_id


class NotInLibrary(CallerError):
    """What was asked for is not in the library, or no longer."""


class DocumentNotFound(NotInLibrary):
    """No document has this id."""

    def __init__(self, document_id: str) -> None:
        super().__init__(f"Document {document_id!r} not found")
        self.document_id = document_id


class EntityNotFound(NotInLibrary):
    """No document mentions an entity of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Entity {name!r} not found")
        self.name = name


class CommunityNotFound(NotInLibrary):
    """No community has this id."""

    def __init__(self, community_id: int) -> None:
        super().__init__(f"Community {community_id} not found")
        self.community_id = community_id


class ClaimLost(CallerError):
    """The document was deleted, released or claimed by another task; nothing was stored."""

    def __init__(self, document_id: str, task_id: str) -> None:
        super().__init__(f"Document {document_id!r} is no longer claimed by task {task_id!r}")
        self.document_id = document_id
        self.task_id = task_id


class LibraryClosed(EngineError):
    """The library is not open: enter it with `async with` first, and ask nothing of it after."""
