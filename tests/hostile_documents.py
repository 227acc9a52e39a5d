"""Documents that nobody would write and that somebody will upload."""

from __future__ import annotations

from collections.abc import Iterator

PROSE = "The Rail Network connects Alpha Station and Beta Station."
SAID = PROSE.encode()

# Name, content, and a piece of the text that is read out of it.
READABLE = [
    ("no spaces.txt", b"A" * 2_000_000, "AAAA"),
    ("invalid utf-8.txt", b"\xff\xc3( caf\xe9: " + SAID, "café: The Rail"),
    ("utf-16 with bom.txt", PROSE.encode("utf-16"), PROSE),
    ("utf-16 big endian.txt", b"\xfe\xff" + PROSE.encode("utf-16-be"), PROSE),
    ("utf-8 with bom.md", b"\xef\xbb\xbf# Title\n\n" + SAID, PROSE),
    ("line ends.txt", b"One is.\r\nTwo\ris.\n\r\n\rThree\x0bis.\xc2\x85Four\x0cis.", "Two is."),
    ("returns.txt", b"\r" * 3_000_000 + SAID, PROSE),
    ("blank lines.md", b"One.\n" + b" \t\n" * 1_000_000 + SAID, PROSE),
    ("accents.txt", ("Z" + "\u0316\u0301" * 1_500_000).encode() + b". " + SAID, PROSE),
    ("formatting.html", b"<b>" * 100_000 + SAID, PROSE),
    ("paragraphs.html", b"<p>" * 100_000 + SAID, PROSE),
    ("tables.rst", b"+--+--+\n| a | b\n+===\n| c |\n==  =\na b\n== \n\n" * 2_000 + SAID, PROSE),
    ("rules.md", b"*" * 1_000_000 + b"\n" + b"> " * 100_000 + b"\n\n" + SAID, PROSE),
    ("adornment.rst", b"=" * 1_000_000 + b"\n" + SAID, PROSE),
    ("brackets.md", b"[a](" * 20_000 + b"\n\n" + SAID, PROSE),
    ("<b>.html", b"<p>" + SAID, PROSE),
    ("a/../b\\c.txt", SAID, PROSE),
    ("[x](y) `z` *a* %2e%2e 😀 \u0645\u0631\u062d.md", SAID, PROSE),
    ("ü" * 251 + ".txt", SAID, PROSE),
]  # fmt: skip

# Name, content, and why it cannot be read.
UNREADABLE = [
    ("nul.txt", SAID + b"\x00" + SAID, "a binary file"),
    ("only nul.txt", b"\x00" * 1_000_000, "a binary file"),
    ("controls.txt", b"\x01\x02\xff" * 1_000, "a binary file"),
    ("half utf-16.txt", b"\xff\xfea", "not valid UTF-16"),
    ("a mark alone.txt", b"\xef\xbb\xbf", "no text"),
    ("wide spaces.txt", "\u2003\u3000\u00a0\u2028".encode(), "no text"),
    ("nothing visible.txt", "\u200b\u2060\ufeff".encode() * 1_000, "no text"),
    ("deep.html", b"<div>" * 100_000 + SAID + b"</div>" * 100_000, "nests more than"),
    ("deep table.html", b"<table><tr><td>" * 100_000 + SAID, "nests more than"),
    ("tags alone.html", b"<p><br>" * 100_000, "no text"),
    ("open tag.html", b"<a" * 500_000, "no text"),
    ("a picture.txt", b"\x89PNG\r\n\x1a\n" + SAID, "a PNG image"),
]

# Names that no document can have, of which nothing is stored.
UNUSABLE = [
    "", "  ", ".txt", "txt", "..", "a\x00.txt", "a\x1b[2J.txt", "a\n.txt", "a\x85.txt",
    "\ud800.txt", "x" * 252 + ".txt", "x" * 5_000 + ".txt", "a.tar.gz", "a.txt.",
]  # fmt: skip


def tiny(count: int) -> Iterator[tuple[str, bytes]]:
    """Many documents of one sentence."""
    for number in range(count):
        yield f"{number}.txt", f"Alpha {number % 7} uses Beta {number % 5}.".encode()
