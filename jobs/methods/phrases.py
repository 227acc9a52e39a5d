"""What the words between two names say of them: phrases, and the relationships that they mean."""

from __future__ import annotations

import re
from typing import NamedTuple

RELATIONSHIP_TYPES = (
    "RELATED_TO",
    "CREATED_BY",
    "WORKS_FOR",
    "PART_OF",
    "USES",
    "LOCATED_IN",
    "IMPLEMENTS",
    "DEPENDS_ON",
    "IS_A",
    "HAS_PROPERTY",
    "FOUNDED_BY",
    "FEATURES",
    "CONTAINS",
    "INTERACTS_WITH",
)

# Further apart (characters), a verb hardly belongs to both names.
LONGEST_BETWEEN = 90
TOKEN = re.compile(r"[\w’'/-]+|[^\w\s]")
# Words that turn a phrase round, or begin another thought.
BREAKS = frozenset(
    "not never no without cannot unlike but than while whereas although ; : . ! ? … ( )".split()
)
LEAST_FIT = 0.4


class Phrase(NamedTuple):
    """A phrase between two names, and the relationship that it means."""

    pattern: re.Pattern[str]
    type: str
    reversed: bool  # the second name is the source
    confidence: float
    sources: frozenset[str]  # types that its source should have; none: any
    targets: frozenset[str]


class Reading(NamedTuple):
    """How a text relates two names; `reversed` when the second is the source."""

    type: str
    reversed: bool
    confidence: float


def _phrase(
    type_: str,
    confidence: float,
    words: str,
    *,
    reverse: bool = False,
    sources: str = "",
    targets: str = "",
) -> Phrase:
    """Make a phrase of words: `a|b` one of them, `[a|b]` perhaps one, `~3` up to three of
    any but "of".

    `a_b` are two words. The phrase is all that stands between the names, but for what `…` skips.
    """
    pattern = "".join(map(_compiled, words.split()))
    expected = frozenset(sources.split()), frozenset(targets.split())
    return Phrase(re.compile(pattern), type_, reverse, confidence, *expected)


def _compiled(word: str) -> str:
    if word == "…":
        return r"(?:\S+ )*?"
    if word.startswith("~"):
        return rf"(?:(?!of )\w[\w’'/-]* ){{0,{int(word[1:])}}}"
    optional = word.startswith("[")
    alternatives = f"(?:{word.strip('[]').replace('_', ' ')}) "
    return f"(?:{alternatives})?" if optional else alternatives


MAKERS = "Person Organization"
TOOLS = "Technology Product System"
WORKS = "Technology Product System Document Concept Process"

THE = "[the|a|an]"
BE = "[is|was|are|were]"
WHICH = "[,] [which|that|who]"
HOW = r"[\w+ly|first|also|now|then|often|later|still]"
MADE = (
    "created|developed|written|designed|invented|built|made|devised|authored|implemented|coined"
    "|introduced|produced|published|composed|conceived|discovered|directed|painted|proposed"
    "|released"
)
MAKES = (
    "creates?|created|develops?|developed|wrote|writes?|designs?|designed|invented|builds?|built"
    "|devised|authored|coined|introduced|produces?|produced|published|composed|conceived"
    "|discovered|directed|painted|released"
)
MAKER = "inventor|author|creator|designer|developer|architect|writer|implementor|discoverer"
POST = (
    "president|director|head|chairman|ceo|employee|professor|engineers?|researchers?|members?"
    "|scientists?|manager|students?|programmers?|hackers?"
)
KIND = "kind|type|form|variant|version|family|dialect|clone|descendant|species|flavor"

# In order: the first that fits decides.
PHRASES = (
    _phrase("FOUNDED_BY", 0.9, f"{WHICH} {BE} {HOW} founded|co-founded|cofounded ~4 by {THE}",
            targets=MAKERS),
    _phrase("FOUNDED_BY", 0.85, f"{WHICH} {HOW} founded|co-founded|established|set_up {THE}",
            reverse=True, sources="Organization", targets=MAKERS),
    _phrase("FOUNDED_BY", 0.85, "[,] [the|a] founders?|co-founders? of [the]", reverse=True),
    _phrase("CREATED_BY", 0.8, f"… {MADE} [in|at|for|on|around] ~3 by {THE}", targets=MAKERS),
    _phrase("CREATED_BY", 0.6, f"… {MADE} by ~4", targets=MAKERS),
    _phrase("CREATED_BY", 0.75, f"{WHICH} [had|has|have] {HOW} {MAKES} [the|a|an|his|her|its] ~3",
            reverse=True, sources=WORKS, targets=MAKERS),
    _phrase("CREATED_BY", 0.85, f"[,] {BE} [the|a|an|one_of_the] ~2 (?:{MAKER})s? ~1 of [the]",
            reverse=True),
    _phrase("CREATED_BY", 0.6, "by", targets="Person"),
    _phrase("WORKS_FOR", 0.85, f"{WHICH} works?|worked|working for|at|with [the]",
            sources="Person", targets="Organization"),
    _phrase("WORKS_FOR", 0.75, f"{WHICH} {BE} ~3 {POST} of|at|for|from [the]",
            sources="Person", targets="Organization"),
    _phrase("WORKS_FOR", 0.75, f"['s|’s] {POST}|founder",
            reverse=True, sources="Person", targets="Organization"),
    _phrase("WORKS_FOR", 0.6, "[,] joined|left|quit [the]",
            sources="Person", targets="Organization"),
    _phrase("PART_OF", 0.85, "[,] ~3 (?:part|member|component|subset|division|subsidiary|branch"
            f"|section|module|piece)s? of {THE}"),
    _phrase("PART_OF", 0.8, "[,] belongs?|belonged|belonging to [the]"),
    _phrase("CONTAINS", 0.75, f"{HOW} contains?|contained|includes?|included|including|comprises?"
            f"|comprised|comprising|consists?_of|consisted_of|containing|encompasses {THE} ~2"),
    _phrase("LOCATED_IN", 0.8, f"[,] {BE} ~2 located|based|situated|headquartered|held|born|built"
            " in|at|near [the]", targets="Location Organization"),
    _phrase("LOCATED_IN", 0.65, f"[,] {BE} ~1 [used|sold|found|known|made] in|at|near [the]",
            targets="Location"),
    _phrase("LOCATED_IN", 0.45, ",", sources="Location", targets="Location"),
    _phrase("IMPLEMENTS", 0.8, f"{WHICH} {HOW} implements?|implemented|implementing {THE} ~1"),
    _phrase("IMPLEMENTS", 0.8, f"[,] {BE} a|an ~2 implementation of {THE}"),
    _phrase("DEPENDS_ON", 0.75, f"{WHICH} {HOW} depends?|depended|relies|rely|relied|builds?"
            f"|runs?|ran|based|running on|upon [top_of] {THE} ~1"),
    _phrase("DEPENDS_ON", 0.7, f"{WHICH} {HOW} requires?|required|needs?|needed {THE} ~1"),
    _phrase("DEPENDS_ON", 0.7, f"[,] {BE} ~2 written|implemented|coded|programmed|rewritten ~3 in",
            targets="Technology"),
    _phrase("USES", 0.75, f"{WHICH} [can|could|may] {HOW} uses?|used|using|employs?|employed"
            f"|utili[sz]es?|utili[sz]ed|adopts?|adopted [the|a|an|its|their] ~2"),
    _phrase("USES", 0.7, f"[,] {BE} ~1 used in|by|on|at|for {THE}", reverse=True),
    _phrase("IS_A", 0.65, f"[,] is|was|are|were|became|remains {HOW} a|an|one_of_the|the|another"
            f" [(?:{KIND})_of] ~2"),
    _phrase("IS_A", 0.7, f"[,] a|an ~2 {KIND} of [the] ~1"),
    _phrase("IS_A", 0.7, "[,] such as [the|a|an]", reverse=True),
    _phrase("IS_A", 0.7, "[,] and|or other"),
    _phrase("FEATURES", 0.7, f"{WHICH} {HOW} features?|featured|featuring|offers?|offered"
            f"|provides?|provided|supports?|supported|comes_with|ships_with {THE} ~2"),
    _phrase("INTERACTS_WITH", 0.75, r"[,] ~1 (?:interact|communicat|connect|compet|collaborat"
            rf"|exchang|interoperat|talk|interfac)(?:s|es|ed|e|ing)? with|to|against {THE} ~1"),
    _phrase("DEPENDS_ON", 0.5, f"[,] [running|available|used] on|under|for {THE}",
            sources=TOOLS, targets=TOOLS),
    _phrase("WORKS_FOR", 0.55, "[,] at|of [the]", sources="Person", targets="Organization"),
    _phrase("PART_OF", 0.5, "[,] at|of|in [the]", sources="Organization", targets="Organization"),
    _phrase("LOCATED_IN", 0.5, "at [the]", targets="Organization"),
    _phrase("CREATED_BY", 0.45, "[,] from [the]", sources=f"{TOOLS} Document", targets=MAKERS),
    _phrase("CREATED_BY", 0.5, "'s|’s ~2",
            reverse=True, sources="Technology Product Document", targets=MAKERS),
    _phrase("WORKS_FOR", 0.5, "'s|’s ~2",
            reverse=True, sources="Person", targets="Organization"),
    _phrase("CREATED_BY", 0.45, "",
            reverse=True, sources="Technology Product", targets="Organization"),
    _phrase("IS_A", 0.5, ", a|an ~2"),
    _phrase("HAS_PROPERTY", 0.5, f"{HOW} has|have|had a|an ~1"),
)  # fmt: skip


def read_between(between: str, first_type: str, second_type: str, *, head: bool = True) -> Reading:
    """Tell the relationship of two names from the text between them and their types.

    `head` is whether the second name ends its noun phrase: in "C is a Unix tool" it does not, and
    C is no Unix. RELATED_TO when no phrase fits; then the nearer, the more confident.
    """
    tokens = TOKEN.findall(between.casefold()) if len(between) <= LONGEST_BETWEEN else ["."]
    if BREAKS.isdisjoint(tokens):
        text = "".join(f"{token} " for token in tokens)
        for phrase in PHRASES:
            if (head or phrase.type != "IS_A") and phrase.pattern.fullmatch(text):
                fit = _fit(phrase, first_type, second_type)
                if fit >= LEAST_FIT:
                    return Reading(phrase.type, phrase.reversed, round(fit, 3))
    nearness = max(0.0, 1.0 - len(between) / 200)
    return Reading("RELATED_TO", False, round(0.2 + 0.2 * nearness, 3))


def _fit(phrase: Phrase, first_type: str, second_type: str) -> float:
    """The phrase's confidence, less for each end that is not of a type it expects."""
    ends = (second_type, first_type) if phrase.reversed else (first_type, second_type)
    confidence = phrase.confidence
    for type_, expected in zip(ends, (phrase.sources, phrase.targets), strict=True):
        if expected and type_ not in expected:
            confidence -= 0.25 if type_ == "Concept" else 0.45
    return confidence
