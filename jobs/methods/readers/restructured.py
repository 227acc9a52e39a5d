"""reStructuredText: headings, paragraphs and lists; directives only where they hold prose."""

from __future__ import annotations

import re

from .blocks import Block, block, join_lines

ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1++\s*")
EXPLICIT = re.compile(r"\s*\.\.(?:\s+|$)")  # directives, comments, targets, footnotes
PROSE = re.compile(
    r"\s*\.\.\s+(?:note|warning|tip|hint|important|caution|danger|attention|seealso|admonition"
    r"|topic|versionadded|versionchanged|deprecated|epigraph|pull-quote|sidebar)::(.*)"
)
FOOTNOTE = re.compile(r"\s*\.\.\s+\[[^\]]{1,80}\]\s+(.*)")
OPTION = re.compile(r"\s*:[\w-]{1,60}:(?:\s.*|$)")
FIELD = re.compile(r"\s*:[\w -]{1,60}:\s+(.*)")
ITEM = re.compile(r"\s{0,12}(?:[-*+•]|\(?(?:\d{1,4}|#|[a-zA-Z])[.)])\s+")
GRID = re.compile(r"\s*[+=|][-=+| ]*")

# Inline markup. Bounded repetitions, so that no text makes them slow.
ROLE = re.compile(r":[\w:+.-]{1,60}:`([^`]{1,500})`")
LINK = re.compile(r"`([^`<]{1,500}?)\s*<[^`>]{1,1000}>`_{1,2}")
REFERENCE = re.compile(r"`([^`]{1,500})`_{0,2}")
LITERAL = re.compile(r"``([^`]{1,500})``")
WORD_REFERENCE = re.compile(r"\b([^\W_]{1,60})_{1,2}(?!\w)")
FOOTNOTE_REFERENCE = re.compile(r"\[(?:#?[\w-]{0,60}|\*)\]_")
EMPHASIS = re.compile(r"(?<![\w*])(\*{1,2})(?=\S)([^*]{1,1000})(?<=\S)\1(?![\w*])")
SUBSTITUTION = re.compile(r"\|([^|\s][^|]{0,80})\|_{0,2}")
MARKED = re.compile(r"[\\`*_|:]")
ESCAPE = re.compile(r"\\(.)")


def read_restructured(text: str) -> list[Block]:
    """Read reStructuredText; literal blocks, comments, targets and options are left out."""
    blocks: list[Block] = []
    paragraph: list[str] = []

    def close(*, heading: bool = False) -> None:
        blocks.extend(block(_inline(join_lines(paragraph)), heading=heading))
        paragraph.clear()

    for line in _without_literals(text.split("\n")):
        item, field = ITEM.match(line), FIELD.match(line)
        if ADORNMENT.fullmatch(line) and len(line.strip()) > 1:
            if line.strip() == "..":
                close()
            else:
                close(heading=len(paragraph) == 1)
        elif not line.strip() or GRID.fullmatch(line):
            close()
        elif item:
            close()
            paragraph.append(line[item.end() :])
        elif field and not paragraph:
            paragraph.append(field[1])
        elif line.lstrip().startswith("|") and line.count("|") > 1:
            close()
            paragraph.append(", ".join(cell.strip() for cell in line.split("|") if cell.strip()))
        else:
            paragraph.append(line)
    close()
    return blocks


def _without_literals(lines: list[str]) -> list[str]:
    """Drop what hangs below `::` and below directives that hold no prose."""
    kept: list[str] = []
    hidden_below: int | None = None  # lines indented deeper than this are dropped
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            kept.append("")
            continue
        if hidden_below is not None and indent > hidden_below:
            continue
        hidden_below = None
        shown = PROSE.match(line) or FOOTNOTE.match(line)
        if shown:
            kept += ["", shown[1]]
        elif EXPLICIT.match(line):
            hidden_below = indent
            kept.append("")
        elif OPTION.fullmatch(line) and not FIELD.match(line):
            kept.append("")
        else:
            kept.append(line)
            if line.rstrip().endswith("::"):
                hidden_below = indent
                kept[-1] = line.rstrip()[:-1]
    return kept


def _inline(text: str) -> str:
    """Strip inline markup and the backslashes of escapes."""
    if MARKED.search(text) is None:
        return text
    text = LITERAL.sub(r"\1", text)
    text = FOOTNOTE_REFERENCE.sub("", text)
    text = ROLE.sub(lambda role: role[1].split(" <")[0].lstrip("~!."), text)
    text = REFERENCE.sub(r"\1", LINK.sub(r"\1", text))
    text = SUBSTITUTION.sub(r"\1", text)
    text = EMPHASIS.sub(r"\2", text)
    text = WORD_REFERENCE.sub(r"\1", text)
    return ESCAPE.sub(r"\1", text)
