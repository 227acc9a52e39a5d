"""From bytes to text, or a clear refusal."""

from __future__ import annotations

import codecs
import re
import unicodedata

from .blocks import UnreadableDocument

# What files of other kinds begin with.
SIGNATURES = {
    b"%PDF-": "a PDF file",
    b"PK\x03\x04": "a ZIP archive (or an office document)",
    b"\x89PNG": "a PNG image",
    b"GIF8": "a GIF image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x1f\x8b": "a gzip archive",
    b"\x7fELF": "a program",
    b"{\\rtf": "an RTF document",
    b"\xd0\xcf\x11\xe0": "an old office document",
}
# Control characters and invisible marks of direction; joiners stay, some scripts need them.
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
EMPTY_LINES = re.compile(r"\n(?:[ \t]*+\n){2,}+")  # megabytes of them would be as many lists
# Accents upon accents: to put them in order takes time that grows with the square of their number.
ACCENTS = re.compile(r"[^\w\s\0-\u02ff]{64,}+")
MOST_ACCENTS = 30  # on one character, as Unicode's own Stream-Safe Text Format has it
# A text in an old one-byte encoding has next to no control characters; binary data has many.
MOST_CONTROLS = 0.01


def decode(data: bytes) -> str:
    """Decode as UTF-8 (or UTF-16 with its mark), else as cp1252 or latin-1.

    Lines end in "\\n", control characters are gone, and of many empty lines one is left. Takes
    time linear in the size of `data`. Raises UnreadableDocument for binary data.
    """
    for signature, kind in SIGNATURES.items():
        if data.startswith(signature):
            raise UnreadableDocument(f"this is {kind}, not a text file")
    text = _decoded(data)
    text = EMPTY_LINES.sub("\n\n", LINE_ENDS.sub("\n", text))
    return unicodedata.normalize("NFC", ACCENTS.sub(_fewer_accents, INVISIBLE.sub("", text)))


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise UnreadableDocument("the file is damaged: it is not valid UTF-16") from error
    if b"\x00" in data:
        raise UnreadableDocument("this is a binary file, not a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if INVISIBLE.subn("", text)[1] > MOST_CONTROLS * len(text):
        raise UnreadableDocument("this is a binary file, not a text file")
    return text


def _fewer_accents(run: re.Match[str]) -> str:
    kept: list[str] = []
    accents = 0
    for character in run[0]:
        accents = accents + 1 if unicodedata.combining(character) else 0
        if accents <= MOST_ACCENTS:
            kept.append(character)
    return "".join(kept)
