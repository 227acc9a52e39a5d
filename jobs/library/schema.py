"""The tables, their indices, and the version that tells one library file from another.

    documents ──< chunks ──< mentions >── entities ──< spellings
        │                                  │    │
        ├──< document_entities >───────────┤    ├──< relationships  (merged from document_relations,
        └──< document_relations >──────────┘    │                    or found across the collection)
                                                └──< community_members >── communities

What one document said is kept apart from what all of them say together (`entities`,
`relationships`), so that a document can be taken out again, or replaced, without a trace.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ...engine.errors import StorageError
from .tables import refuse_lacking

APPLICATION_ID = 0x43545831  # "CTX1": marks the file as a library of ours
VERSION = 1
OLDEST_SQLITE = (3, 37, 0)  # STRICT tables

TABLES = """
CREATE TABLE documents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of upload; never reused
    id TEXT NOT NULL UNIQUE,
    filename TEXT NOT NULL,
    file_type TEXT NOT NULL,
    file_size INTEGER NOT NULL,
    upload_date TEXT NOT NULL,
    collection_id TEXT,
    source TEXT,
    status TEXT NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'extracting', 'completed', 'failed')),
    task_id TEXT,  -- who works on it, or who completed or failed it; NULL while pending
    error TEXT,
    chunk_count INTEGER NOT NULL DEFAULT 0,
    entity_count INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX documents_by_status ON documents (status, seq);
CREATE INDEX documents_by_collection ON documents (collection_id, seq);
CREATE INDEX documents_by_task ON documents (task_id, seq) WHERE task_id IS NOT NULL;

-- Apart from documents, so that listing them never pages through what is in them.
CREATE TABLE contents (
    document INTEGER PRIMARY KEY REFERENCES documents ON DELETE CASCADE,
    content BLOB NOT NULL
) STRICT;

CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    position INTEGER NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (document, position)
) STRICT;

CREATE TABLE entities (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,  -- what all spellings of the name share
    name TEXT NOT NULL DEFAULT '',
    folded TEXT NOT NULL DEFAULT '',  -- the name without its case, in any script, for searches
    type TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    mention_count INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0  -- the library's revision when its mentions last changed
) STRICT;
CREATE INDEX entities_by_mentions ON entities (mention_count DESC, name);
CREATE INDEX entities_by_type ON entities (type, mention_count DESC, name);

CREATE TABLE mentions (
    chunk INTEGER NOT NULL REFERENCES chunks ON DELETE CASCADE,
    entity INTEGER NOT NULL REFERENCES entities ON DELETE CASCADE,
    count INTEGER NOT NULL,
    PRIMARY KEY (chunk, entity)
) STRICT, WITHOUT ROWID;
CREATE INDEX mentions_by_entity ON mentions (entity, chunk);

-- What each document says of an entity.
CREATE TABLE document_entities (
    document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    entity INTEGER NOT NULL REFERENCES entities ON DELETE CASCADE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    description TEXT NOT NULL,
    mentions INTEGER NOT NULL,
    PRIMARY KEY (document, entity)
) STRICT, WITHOUT ROWID;
CREATE INDEX document_entities_by_entity ON document_entities (entity, mentions DESC, document);

-- The sum of document_entities by name and type: a few rows an entity, however often mentioned.
CREATE TABLE spellings (
    entity INTEGER NOT NULL REFERENCES entities ON DELETE CASCADE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    mentions INTEGER NOT NULL,
    PRIMARY KEY (entity, name, type)
) STRICT, WITHOUT ROWID;

-- What each document says of two entities.
CREATE TABLE document_relations (
    document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    source INTEGER NOT NULL REFERENCES entities ON DELETE CASCADE,
    target INTEGER NOT NULL REFERENCES entities ON DELETE CASCADE,
    type TEXT NOT NULL,
    description TEXT NOT NULL,
    weight REAL NOT NULL,
    confidence REAL NOT NULL,
    PRIMARY KEY (document, source, target, type)
) STRICT, WITHOUT ROWID;
CREATE INDEX document_relations_by_pair ON document_relations (source, target, type);
CREATE INDEX document_relations_by_target ON document_relations (target);

CREATE TABLE relationships (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES entities ON DELETE CASCADE,
    target INTEGER NOT NULL REFERENCES entities ON DELETE CASCADE,
    type TEXT NOT NULL,
    method TEXT NOT NULL CHECK (method IN ('per_chunk', 'cross_collection')),
    description TEXT NOT NULL,
    weight REAL NOT NULL,
    confidence REAL NOT NULL,
    evidence INTEGER NOT NULL,  -- how many documents say so
    scope TEXT,  -- the collection whose analysis found it; NULL: all of them, or per_chunk
    UNIQUE (source, target, type, method)
) STRICT;
CREATE INDEX relationships_by_target ON relationships (target);
CREATE INDEX relationships_by_method ON relationships (method, scope);

CREATE TABLE communities (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- shown to people, and never reused
    collection_id TEXT,
    name TEXT NOT NULL DEFAULT '',
    summary TEXT NOT NULL DEFAULT '',
    -- How far its members have moved since it was summarised; 0.5: half of them are others.
    drift REAL NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX communities_by_collection ON communities (collection_id);

CREATE TABLE community_members (
    community INTEGER NOT NULL REFERENCES communities ON DELETE CASCADE,
    rank INTEGER NOT NULL,  -- 0 is the strongest
    entity INTEGER NOT NULL REFERENCES entities ON DELETE CASCADE,
    PRIMARY KEY (community, rank)
) STRICT, WITHOUT ROWID;
CREATE INDEX community_members_by_entity ON community_members (entity, community);

-- The last finished run of each analysis over a scope ('' is everything).
CREATE TABLE analyses (
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    revision INTEGER NOT NULL,  -- of the library, as that run read it
    finished_at TEXT NOT NULL,
    PRIMARY KEY (kind, scope)
) STRICT, WITHOUT ROWID;

-- How often a document_processing over a scope has found nothing left to do; see processing.py.
CREATE TABLE intakes (
    scope TEXT PRIMARY KEY,
    generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row; the revision moves with every change of what documents say.
CREATE TABLE state (revision INTEGER NOT NULL) STRICT;
INSERT INTO state VALUES (0);
"""


def prepare(connection: sqlite3.Connection, file: Path | None = None) -> None:
    """Make the tables in an empty file, and accept a file of this version.

    Runs in the caller's transaction. Raises StorageError, and changes nothing, for a file of a
    newer version, for a database that is not a library, for one without all of its tables, and for
    an SQLite that is too old.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StorageError(
            f"SQLite {sqlite3.sqlite_version} is too old for the library; "
            f"{'.'.join(map(str, OLDEST_SQLITE))} or newer is needed."
        )
    name = file or "the library in memory"
    application_id, version, tables = connection.execute(
        "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)"
        " FROM pragma_application_id AS a, pragma_user_version AS v"
    ).fetchone()
    if (application_id, version, tables) == (0, 0, 0):
        create(connection)
    elif application_id != APPLICATION_ID:
        raise StorageError(
            f"{name} is a database of some other program. Nothing was changed; "
            "give the library another file."
        )
    elif version != VERSION:
        raise StorageError(
            f"{name} has format {version}; this program reads format {VERSION}. Nothing was "
            "changed; open it with the version of cortex-tasks that wrote it, or a newer one."
        )
    else:
        refuse_lacking(connection, create, name)


def create(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file, in the caller's transaction."""
    # Statement by statement: executescript would commit the caller's transaction first.
    statement = ""
    for line in TABLES.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
