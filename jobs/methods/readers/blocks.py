"""What every reader gives: the text of a document in blocks, in reading order."""

from __future__ import annotations

import msgspec


class UnreadableDocument(ValueError):
    """No text can be taken from the document; the message says why, for a person to act on."""


class Block(msgspec.Struct, frozen=True):
    """A paragraph, a list item or a heading."""

    text: str  # never empty; one line, single spaces
    heading: bool = False


class PlainDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document without its markup."""

    title: str  # its first heading, or "" when it does not open with one
    blocks: list[Block]  # never empty

    @property
    def headings(self) -> list[str]:
        return [block.text for block in self.blocks if block.heading]

    @property
    def paragraphs(self) -> list[str]:
        return [block.text for block in self.blocks if not block.heading]

    @property
    def text(self) -> str:
        """All of it, blocks separated by an empty line."""
        return "\n\n".join(block.text for block in self.blocks)


def block(text: str, *, heading: bool = False) -> list[Block]:
    """Give the text as one block, or as none when only white space is left of it."""
    line = " ".join(text.split())
    return [Block(line, heading)] if line else []


def join_lines(lines: list[str]) -> str:
    """Undo hard wrapping. A hyphen at a line's end stays, and takes the next line to it."""
    pieces: list[str] = []
    last = ""
    for line in lines:
        stripped = line.strip()
        hyphenated = last[-1:] == "-" and last[-2:-1].isalpha() and stripped[:1].islower()
        if last and not hyphenated:
            pieces.append(" ")
        pieces.append(stripped)
        last = stripped
    return "".join(pieces)
