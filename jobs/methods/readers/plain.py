"""Plain text: paragraphs are set apart by empty lines, headings by standing alone."""

from __future__ import annotations

import re

from .blocks import Block, block, join_lines

BULLET = re.compile(r"\s{0,12}(?:[-*+•–]|\d{1,3}[.)])\s+")
RULE = re.compile(r"[\s=\-*_~#+─═]*")  # drawn lines
LONGEST_HEADING = 60


def read_plain(text: str) -> list[Block]:
    """Read plain text; lines of a paragraph are joined, list items are blocks of their own."""
    groups = _groups(text)
    blocks: list[Block] = []
    for position, lines in enumerate(groups):
        if len(lines) == 1 and position + 1 < len(groups) and _is_heading(lines[0]):
            blocks += block(lines[0], heading=True)
        else:
            blocks += [made for item in _items(lines) for made in block(join_lines(item))]
    return blocks


def _groups(text: str) -> list[list[str]]:
    """Lines between empty lines; drawn lines count as empty."""
    groups: list[list[str]] = [[]]
    for line in text.split("\n"):
        if RULE.fullmatch(line):
            groups.append([])
        else:
            groups[-1].append(line)
    return [group for group in groups if group]


def _items(lines: list[str]) -> list[list[str]]:
    items: list[list[str]] = []
    for line in lines:
        bullet = BULLET.match(line)
        if bullet:
            items.append([line[bullet.end() :]])
        elif items:
            items[-1].append(line)
        else:
            items.append([line])
    return items


def _is_heading(line: str) -> bool:
    line = line.strip()
    return (
        len(line) <= LONGEST_HEADING
        and (line[0].isupper() or line[0].isdigit())
        and line[-1] not in ".!?"
        and not any(mark in line for mark in ",;:")
        and not BULLET.match(line)
    )
