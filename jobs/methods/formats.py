"""From a file's bytes to plain paragraphs: one reader per file type.

A reader for another format (pdf, docx, epub) is one more entry in READERS and in EXTENSIONS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

from .readers.blocks import Block, PlainDocument, UnreadableDocument
from .readers.decoding import decode
from .readers.html import read_html
from .readers.markdown import read_markdown
from .readers.plain import read_plain
from .readers.restructured import read_restructured

__all__ = [
    "EXTENSIONS",
    "SUPPORTED_TYPES",
    "Block",
    "PlainDocument",
    "UnreadableDocument",
    "file_type_of",
    "read_text",
    "title_from",
]

EXTENSIONS = {
    "txt": "txt",
    "text": "txt",
    "md": "md",
    "markdown": "md",
    "html": "html",
    "htm": "html",
    "rst": "rst",
}

Reader = Callable[[bytes], list[Block]]


def _of_text(read: Callable[[str], list[Block]]) -> Reader:
    return lambda data: read(decode(data))


READERS: dict[str, Reader] = {
    "txt": _of_text(read_plain),
    "md": _of_text(read_markdown),
    "html": _of_text(read_html),
    "rst": _of_text(read_restructured),
}
SUPPORTED_TYPES = tuple(sorted(READERS))


def read_text(file_type: str, data: bytes) -> PlainDocument:
    """Read the text out of a file, markup and code blocks left out.

    Takes time linear in the size of `data`, whatever is in it. Raises UnreadableDocument, with a
    reason for a person, when the type is not one of SUPPORTED_TYPES, when the bytes are not text,
    and when no text is left.
    """
    reader = READERS.get(file_type)
    if reader is None:
        known = ", ".join(SUPPORTED_TYPES)
        raise UnreadableDocument(f"file type {file_type!r} is not supported; supported: {known}")
    blocks = reader(data)
    if all(block.heading for block in blocks):
        # Nothing but headings: a list of lines, which is all the text there is.
        blocks = [Block(text=block.text) for block in blocks]
    if not any(character.isalnum() for block in blocks for character in block.text):
        raise UnreadableDocument("the document has no text")
    title = next((block.text for block in blocks[:5] if block.heading), "")
    return PlainDocument(title=title, blocks=blocks)


def file_type_of(filename: str) -> str:
    """Tell a file's type by its extension. Raises UnreadableDocument for one not supported."""
    extension = PurePath(filename).suffix.lstrip(".").lower()
    if extension not in EXTENSIONS:
        known = ", ".join(f".{name}" for name in EXTENSIONS)
        raise UnreadableDocument(f"{filename!r} is not supported; supported: {known}")
    return EXTENSIONS[extension]


def title_from(filename: str) -> str:
    """Make a title from a filename: `virtual_memory.md` is about "virtual memory".

    Hyphens stay: they may belong to the name, and no comparison of names minds them.
    """
    return " ".join(PurePath(filename).stem.replace("_", " ").split())
