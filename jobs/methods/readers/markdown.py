"""Markdown: CommonMark and the usual extensions, as far as the plain text needs them."""

from __future__ import annotations

import html
import re

from .blocks import Block, block, join_lines

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
ATX = re.compile(r" {0,3}#{1,6}(?=\s|$)(.*)")
SETEXT = re.compile(r" {0,3}(=+|-{2,})\s*")
RULE = re.compile(r" {0,3}([-*_])[ \t]*+(?:\1[ \t]*+){2,}+")
ITEM = re.compile(r"\s{0,12}(?:[-*+]|\d{1,9}[.)])\s+(?:\[[ xX]\]\s+)?")
QUOTE = re.compile(r" {0,3}(?:> ?)++")
TABLE_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*+\|?\s*")
DEFINITION = re.compile(r" {0,3}\[[^\[\]]{1,200}\]:\s*\S")
FRONT_MATTER = "---"

# Inline markup. Bounded repetitions, so that no text makes them slow.
CODE = re.compile(r"(?<!`)(`{1,3})(?!`)([^`]{1,500})(?<!`)\1(?!`)")
IMAGE = re.compile(r"!\[([^\[\]]{0,500})\](?:\([^()]{0,1000}\)|\[[^\[\]]{0,200}\])")
LINK = re.compile(
    r"\[([^\[\]]{1,500})\](?:\((?:[^()]|\([^()]{0,500}\)){0,1000}\)|\[[^\[\]]{0,200}\])"
)
WIKI_LINK = re.compile(r"\[\[(?:[^\[\]|]{1,200}\|)?([^\[\]|]{1,200})\]\]")
FOOTNOTE = re.compile(r"\[\^[^\[\]]{1,100}\]:?")
AUTOLINK = re.compile(r"<((?:https?|ftp|mailto):[^<>\s]{1,2000})>")
TAG = re.compile(r"</?[a-zA-Z][^<>]{0,1000}>|<!--[^>]{0,300}-->")
EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3})(?=\S)([^*\n]{1,1000})(?<=\S)\1(?!\*)")
UNDERLINE = re.compile(r"(?<![\w_])(_{1,3})(?=\S)([^_\n]{1,1000})(?<=\S)\1(?![\w_])")
STRIKE = re.compile(r"~~([^~]{1,1000})~~")
ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
MARKED = re.compile(r"[\\`*_~<\[&]")
ESCAPED = re.compile("[\ue000-\ue07f]")


def read_markdown(text: str) -> list[Block]:
    """Read Markdown; code blocks, link targets, images' files and raw HTML tags are left out."""
    blocks: list[Block] = []
    paragraph: list[str] = []

    def close(*, heading: bool = False) -> None:
        blocks.extend(block(_inline(join_lines(paragraph)), heading=heading))
        paragraph.clear()

    for quoted in _without_code(_without_front_matter(text.split("\n"))):
        quote = QUOTE.match(quoted)
        line = quoted[quote.end() :] if quote else quoted
        atx, item = ATX.match(line), ITEM.match(line)
        if not line.strip() or DEFINITION.match(line):
            close()
        elif atx:
            close()
            paragraph.append(atx[1].strip().rstrip("#"))
            close(heading=True)
        elif paragraph and SETEXT.fullmatch(line):
            close(heading=len(paragraph) == 1)
        elif RULE.fullmatch(line) or ("|" in line and TABLE_RULE.fullmatch(line)):
            close()
        elif item:
            close()
            paragraph.append(line[item.end() :])
        elif line.count("|") > 1:
            close()
            paragraph.append(", ".join(cell.strip() for cell in line.split("|") if cell.strip()))
            close()
        else:
            paragraph.append(line)
    close()
    return blocks


def _without_front_matter(lines: list[str]) -> list[str]:
    if lines[0].rstrip() == FRONT_MATTER:
        for position, line in enumerate(lines[1:200], start=1):
            if line.rstrip() in (FRONT_MATTER, "..."):
                return lines[position + 1 :]
    return lines


def _without_code(lines: list[str]) -> list[str]:
    """Drop fenced blocks (an unclosed one runs to the end) and indented ones."""
    kept: list[str] = []
    fence = ""
    in_list = False
    for line in lines:
        mark = FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                fence = ""
        elif mark:
            fence, in_list = mark[1], False
            kept.append("")
        else:
            indented = line.startswith(("    ", "\t"))
            in_list = bool(ITEM.match(line)) or (in_list and (indented or not line.strip()))
            code = indented and not in_list and (not kept or not kept[-1].strip())
            kept.append("" if code else line)
    return kept


def _inline(text: str) -> str:
    """Strip inline markup, and give the characters that backslashes and entities stand for."""
    if MARKED.search(text) is None:
        return text
    text = ESCAPE.sub(lambda escape: chr(0xE000 + ord(escape[1])), text)
    text = TAG.sub("", AUTOLINK.sub(r"\1", CODE.sub(r"\2", text)))
    text = IMAGE.sub("", text)
    text = FOOTNOTE.sub("", WIKI_LINK.sub(r"\1", text))
    text = LINK.sub(r"\1", text)
    text = STRIKE.sub(r"\1", text)
    for _ in range(2):  # emphasis within emphasis
        text = UNDERLINE.sub(r"\2", EMPHASIS.sub(r"\2", text))
    text = ESCAPED.sub(lambda escape: chr(ord(escape[0]) - 0xE000), text)
    return html.unescape(text)
