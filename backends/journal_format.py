"""The bytes on disk: names of files, header, lines, changes. `docs/journal.md` describes them.

A line is `{"n":7,"crc":"0a1b2c3d","changes":[…]}`: one commit. The check covers the bytes of the
list, brackets included; `n` counts on from line to line, so the two leave no byte unchecked.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from ..engine.errors import StorageError
from ..engine.records import TaskRecord
from ..engine.storage import Drop, Pause

VERSION: Final = 1  # a program reads its own version and older ones
JOURNAL: Final = "journal"
SNAPSHOT: Final = "snapshot"


class Damaged(Exception):
    """A line is not as it was written; the text says in what way."""


class Header(msgspec.Struct, frozen=True):
    """The first line of a file."""

    format: str
    version: int
    number: int


class ValueFile(msgspec.Struct, frozen=True, gc=False):
    """A value too large for a line, in a file of its own."""

    file: str  # relative to the folder
    size: int
    crc: str


# The one object that is left out when a put is encoded: defaults are told by identity.
ABSENT: Final = msgspec.Raw()


class KeptPut(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="op", tag="put", gc=False):
    """A put as it stands in a line.

    The values come last, so that their places follow from the end of the change and their
    lengths alone (`RESULT_KEY` and the like). No JSON text is empty, so an absent value is.
    """

    record: TaskRecord
    params_file: ValueFile | None = None
    result_file: ValueFile | None = None
    checkpoint_file: ValueFile | None = None
    log_file: ValueFile | None = None
    params: msgspec.Raw = ABSENT
    result: msgspec.Raw = ABSENT
    checkpoint: msgspec.Raw = ABSENT
    log: msgspec.Raw = ABSENT


class Start(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="op", tag="start"):
    """The first change of a snapshot: where in the history it stands, and how much it holds."""

    line: int  # the journal goes on with the line after this one
    seq: int  # the highest change number, of dropped tasks too
    tasks: int  # so many puts follow
    paused: tuple[str, ...] = ()  # task types


_changes: Final = msgspec.json.Decoder(list[msgspec.Raw])
encode_change: Final = msgspec.json.Encoder().encode
decode_change: Final = msgspec.json.Decoder(KeptPut | Drop | Pause | Start).decode


def file_name(kind: str, number: int) -> str:
    return f"{kind}-{number:08d}.jsonl"


_NAME: Final = re.compile(rf"({JOURNAL}|{SNAPSHOT})-(\d{{8,}})\.jsonl")


def parse_name(name: str) -> tuple[str, int] | None:
    """Give kind and number, or None for a file that is not ours."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def header_line(kind: str, number: int) -> bytes:
    return msgspec.json.encode(Header(f"cortex-tasks {kind}", VERSION, number)) + b"\n"


def check_header(line: bytes, kind: str, number: int, path: Path) -> None:
    """Raise StorageError for a newer version, Damaged for anything but the header expected."""
    try:
        header = msgspec.json.decode(line, type=Header)
    except ValueError as error:
        raise Damaged(f"the header cannot be read ({error})") from None
    expected = f"cortex-tasks {kind}"
    if header.format == expected and header.version > VERSION:
        raise StorageError(
            f"{path} was written by a newer cortex-tasks: it has format version {header.version}, "
            f"this one reads up to {VERSION}. Use the newer program, or another folder."
        )
    known = Header(expected, max(1, header.version), number)
    if header != known or not line.endswith(b"\n"):
        raise Damaged(f"this is not the header of {expected} {number}")


def raw(text: bytes) -> msgspec.Raw:
    """Give the text as a part of a put; absent when empty."""
    return msgspec.Raw(text) if text else ABSENT


def join_changes(changes: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(changes) + b"]"


def make_line(n: int, changes: bytes) -> bytes:
    return b'{"n":%d,"crc":"%08x","changes":%b}\n' % (n, zlib.crc32(changes), changes)


def changes_offset(n: int) -> int:
    """How far into line `n` its list of changes begins."""
    return len(b'{"n":%d,"crc":"12345678","changes":' % n)


_LINE_BEGIN: Final = re.compile(rb'\{"n":(\d{1,18}),"crc":"[0-9a-f]{8}","changes":')


def split_changes(changes: bytes) -> list[msgspec.Raw]:
    """Split a list of changes; raises ValueError if it is not JSON."""
    return _changes.decode(changes)


def parse_line(line: bytes, n: int) -> bytes:
    """Check that this is line `n`, whole, and give its list of changes."""
    start = changes_offset(n)
    changes = line[start:-2]
    if line == make_line(n, changes):  # the check sum included
        return changes
    raise Damaged(_reason(line, n))


def _reason(line: bytes, n: int) -> str:
    found = re.match(rb'\{"n":(\d+),', line)
    if found and int(found[1]) != n:
        return f"this is line {int(found[1])} of the history where line {n} was expected"
    return "its check sum does not fit, or it is cut short"


def holds_line(torn: bytes) -> bool:
    """Whether these bytes end with a whole line: none that a crash cut short does."""
    return find_line(torn) is not None


def find_line(data: bytes) -> tuple[int, int, bytes] | None:
    """Find a whole line at the end of these bytes: where it begins, its number (which no check
    sum covers), and its list of changes.
    """
    for begin in _LINE_BEGIN.finditer(data):
        n, changes = int(begin[1]), data[begin.end() : -2]
        if data[begin.start() :] == make_line(n, changes):
            return begin.start(), n, changes
    return None


# How many bytes stand before a value of a put, after whatever comes before it. The values end the
# put in this order, those that it has; after the last comes the put's brace.
PARAMS_KEY: Final = len(b',"params":')
RESULT_KEY: Final = len(b',"result":')
CHECKPOINT_KEY: Final = len(b',"checkpoint":')
LOG_KEY: Final = len(b',"log":')
