"""HTML: the text that a reader of the page sees, without its navigation and its code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from .blocks import Block, UnreadableDocument, block

# An HTML5 parser takes time that grows with the square of the depth and of the attributes of one
# tag, and repeats unclosed formatting tags in every later paragraph. None of these tell anything
# about the text, so attributes and formatting go first, and an absurd depth is refused.
TAG = re.compile(
    r"<(/?)([a-zA-Z][a-zA-Z0-9]*)(?![a-zA-Z0-9])"
    r"(?:(?:[^<>\"']++|\"[^\"]{0,2000}+\"|'[^']{0,2000}+')*+>"
    r"|[^<>]*(?:>|(?=<)|\Z))"  # with quotes that do not pair
)
FORMATTING = frozenset(
    "a b big em font i nobr s small strike strong tt u abbr cite code dfn kbd mark q samp span sub"
    " sup time var bdi bdo ins del label".split()
)
UNNESTED = frozenset(  # tags that close themselves, or that the next of their kind closes
    "area base br col embed hr img input link meta source track wbr p li dt dd tr td th option"
    " optgroup thead tbody tfoot colgroup caption html head body rp rt".split()
)
DEEPEST = 1000
RAW = re.compile(r"<!--|-->|<(/?)(script|style)(?![a-z0-9])", re.IGNORECASE)

UNSEEN = frozenset(
    "script style template noscript svg math canvas iframe object select textarea button"
    " nav footer aside pre".split()
)
HEADINGS = frozenset("h1 h2 h3 h4 h5 h6 title".split())
INLINE = FORMATTING | {"-text", "-comment", "img", "wbr", "ruby", "rt", "rp", "rb", "input"}


def read_html(text: str) -> list[Block]:
    """Read an HTML page. Raises UnreadableDocument when it is nested absurdly deep."""
    root = LexborHTMLParser(_bare(_without_raw(text))).root
    blocks: list[Block] = []
    if root is not None:
        for words, heading in _runs(root):
            blocks += block(words, heading=heading)
    return _without_double_title(blocks)


def _without_raw(text: str) -> str:
    """The page without comments, scripts and styles, whose content is not markup."""
    kept: list[str] = []
    inside, start = "", 0  # what we are in, and since where text is kept
    for mark in RAW.finditer(text):
        name = (mark[2] or mark[0]).lower()
        if not inside and not mark[1] and name != "-->":
            kept.append(text[start : mark.start()])
            inside = name
        elif inside and ((name == inside and mark[1]) or (name == "-->" and inside == "<!--")):
            inside, start = "", mark.start() if mark[1] else mark.end()
    if not inside:
        kept.append(text[start:])
    return "".join(kept)


def _bare(text: str) -> str:
    """The page with bare tags: no attributes, no formatting."""
    depth = 0

    def bare(tag: re.Match[str]) -> str:
        nonlocal depth
        closing, name = tag[1], tag[2].lower()
        if name in FORMATTING:
            return ""
        if name not in UNNESTED:
            depth = max(0, depth - 1) if closing else depth + 1
            if depth > DEEPEST:
                raise UnreadableDocument(f"the page nests more than {DEEPEST} elements")
        return f"<{closing}{name}>"

    return TAG.sub(bare, text)


def _runs(root: LexborNode) -> Iterator[tuple[str, bool]]:
    """Text between the edges of block elements, and whether it stands in a heading."""
    run: list[str] = []
    headings = 0
    for node, entering in _walk(root):
        tag = node.tag or ""
        if tag == "-text" and entering:
            run.append(node.text_content or "")
        elif tag not in INLINE:
            if run:
                yield "".join(run), headings > 0
                run = []
            if tag in HEADINGS:
                headings += 1 if entering else -1
    if run:
        yield "".join(run), False


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Every node that a reader sees, on the way in and on the way out; without recursion."""
    stack: list[tuple[LexborNode, bool]] = [(root, True)]
    while stack:
        node, entering = stack.pop()
        yield node, entering
        if not entering:
            continue
        stack.append((node, False))
        child = node.last_child
        while child is not None:
            if child.tag not in UNSEEN:
                stack.append((child, True))
            child = child.prev


def _without_double_title(blocks: list[Block]) -> list[Block]:
    """<title> is usually the first heading again, with the name of the site added."""
    if len(blocks) > 1 and blocks[0].heading and blocks[1].heading:
        return blocks[1:] if blocks[1].text in blocks[0].text else blocks
    return blocks
