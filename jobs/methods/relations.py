"""Relationships of one document: what the words between two adjacent mentions say of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..model import ExtractedEntity, Relation
from .lexicon import STOP_WORDS
from .kinds import is_topic
from .linking import Mention
from .passages import Sentence, definition_start

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

# What lies between two mentions is read only this far (characters); further apart, a verb hardly
# belongs to both.
LONGEST_BETWEEN = 90
# Of a document's subject and something that it mentions, with no sentence naming both.
UNLINKED = 0.2
NEVER = r"\b(?:not|never|no|without|n't|cannot|unlike|but|than|while|whereas|although)\b"
NEGATED = re.compile(NEVER)
BREAK = re.compile(r"[;:.!?…]")

MADE = (
    "created|developed|written|designed|invented|built|made|devised|authored|implemented|coined"
    "|introduced|produced|published|composed|conceived|discovered|directed|painted|proposed|released"
)
MAKES = (
    "created|creates|developed|develops|wrote|writes|designed|designs|invented|built|builds|devised"
    "|authored|coined|introduced|produced|produces|published|composed|conceived|discovered|directed"
    "|painted|released"
)
ADVERB = r"(?:\w+ly |first |also |now |then |often |later |still |originally )?"
AT_MOST = r"(?:[\w'’/-]+ ){0,%d}"


class Pattern(NamedTuple):
    """How a text between two mentions says that they are related."""

    between: re.Pattern[str]
    type: str
    reversed: bool  # the second mention is the source
    confidence: float
    sources: frozenset[str] = frozenset()  # types that make it likelier, and others less so
    targets: frozenset[str] = frozenset()


def _pattern(
    between: str,
    type_: str,
    confidence: float,
    *,
    backwards: bool = False,
    sources: str = "",
    targets: str = "",
) -> Pattern:
    compiled = re.compile(between)
    return Pattern(
        compiled,
        type_,
        backwards,
        confidence,
        frozenset(sources.split()),
        frozenset(targets.split()),
    )


MAKERS = "Person Organization"
MADE_THINGS = "Technology Product Document System Concept Process"
GROUPS = "Organization"

# In order: the first that matches decides.
PATTERNS = (
    _pattern(rf"^,? ?(?:which |that |who )?(?:is |was |were |are )?{ADVERB}(?:co-?)?founded (?:\w+ ){{0,4}}by (?:the |\w+ly )?$",
             "FOUNDED_BY", 0.9, targets=MAKERS),
    _pattern(rf"^ ?,? ?(?:who )?{ADVERB}(?:co-?founded|founded|established|set up) (?:the |a |an )?$",
             "FOUNDED_BY", 0.85, backwards=True, sources=GROUPS, targets=MAKERS),
    _pattern(r"^,? (?:the |a )?(?:co-?)?founders? of (?:the )?$", "FOUNDED_BY", 0.85, backwards=True),
    _pattern(rf"(?:^|[ ,])(?:{MADE})(?: (?:in|at|for|on|around) (?:\w+ ){{1,3}})? ?by (?:the |a |an |\w+ly )?$",
             "CREATED_BY", 0.8, targets=MAKERS),
    _pattern(rf"(?:^|[ ,])(?:{MADE}) by {AT_MOST % 4}$", "CREATED_BY", 0.6, targets=MAKERS),
    _pattern(rf"^ ?,? ?(?:who |which |that )?(?:had |has |have )?{ADVERB}(?:{MAKES}) (?:the |a |an |his |her |its |their )?{AT_MOST % 3}$",
             "CREATED_BY", 0.75, backwards=True, sources=MADE_THINGS, targets=MAKERS),
    _pattern(r"^,? (?:the |an? |one of the |is the |was the )(?:\w+ ){0,2}(?:inventor|author|creator|designer|developer|architect|writer|implementor|discoverer)s? (?:\w+ ){0,1}of (?:the )?$",
             "CREATED_BY", 0.85, backwards=True),
    _pattern(r"^ by $", "CREATED_BY", 0.6, targets="Person"),
    _pattern(r"^,? (?:who )?(?:works?|worked|working) (?:for|at|with) (?:the )?$", "WORKS_FOR", 0.85, sources="Person", targets=GROUPS),
    _pattern(r"^,? (?:(?:a|an|the|then|former|who was|was|is) ){0,2}(?:\w+ ){0,2}(?:president|director|head|chairman|ceo|employee|professor|engineer|researcher|member|scientist|manager|students?|programmers?|hackers?)s? (?:of|at|for|from) (?:the )?$",
             "WORKS_FOR", 0.75, sources="Person", targets=GROUPS),
    _pattern(r"^(?:['’]s)? (?:president|director|head|chairman|ceo|founder|engineer|researcher|professor|scientist|programmer|hacker) $",
             "WORKS_FOR", 0.75, backwards=True, sources="Person", targets=GROUPS),
    _pattern(r"^,? (?:joined|left|quit) (?:the )?$", "WORKS_FOR", 0.6, sources="Person", targets=GROUPS),
    _pattern(r"^,? (?:\w+ )?(?:is|was|are|were|being|as)? ?(?:\w+ ){0,2}(?:part|member|component|subset|division|subsidiary|branch|section|module|piece)s? of (?:the |a |an )?$",
             "PART_OF", 0.85),
    _pattern(r"^,? (?:belongs?|belonged|belonging) to (?:the )?$", "PART_OF", 0.8),
    _pattern(rf"^ {ADVERB}(?:contains?|contained|includ(?:es?|ed|ing)|compris(?:es?|ed|ing)|consists? of|consisted of|containing|encompass(?:es|ed)?),? (?:the |a |an )?{AT_MOST % 2}$",
             "CONTAINS", 0.75),
    _pattern(r"^,? (?:is |was |are |were )?(?:\w+ ){0,2}(?:located|based|situated|headquartered|held|born|built) (?:in|at|near) (?:the )?$",
             "LOCATED_IN", 0.8, targets="Location Organization"),
    _pattern(r"^,? (?:in|at|near) (?:the )?$", "LOCATED_IN", 0.65, targets="Location"),
    _pattern(r"^, $", "LOCATED_IN", 0.45, sources="Location", targets="Location"),
    _pattern(rf"^,? (?:which |that )?{ADVERB}(?:implements?|implemented|implementing|(?:is |was )?an? (?:\w+ ){{0,2}}implementation of) (?:the |a |an )?{AT_MOST % 1}$",
             "IMPLEMENTS", 0.8),
    _pattern(rf"^,? (?:which |that )?{ADVERB}(?:depends?|depended|relies|rely|relied|builds?|runs?|ran|based|running) (?:up)?on (?:the |a |an |top of )?{AT_MOST % 1}$",
             "DEPENDS_ON", 0.75),
    _pattern(rf"^,? (?:which |that )?{ADVERB}(?:requires?|required|needs?|needed) (?:the |a |an )?{AT_MOST % 1}$", "DEPENDS_ON", 0.7),
    _pattern(r"^,? (?:is |was |were |are )?(?:\w+ ){0,2}(?:written|implemented|coded|programmed|reimplemented|rewritten) (?:\w+ ){0,3}in (?:the )?$",
             "DEPENDS_ON", 0.7, targets="Technology"),
    _pattern(rf"^,? (?:which |that |who )?(?:can |could |may )?{ADVERB}(?:uses?|used|using|employs?|employed|utili[sz]es?|utili[sz]ed|adopts?|adopted) (?:the |a |an |its |their )?{AT_MOST % 2}$",
             "USES", 0.75),
    _pattern(r"^,? (?:is |was |are |were )?(?:\w+ )?used (?:in|by|on|at|for) (?:the |a |an )?$", "USES", 0.7, backwards=True),
    _pattern(rf"^,? (?:is|was|are|were|became|remains) (?:\w+ly )?(?:a|an|one of the|the|another)(?: kind of| type of| form of| variant of| version of)? {AT_MOST % 2}$",
             "IS_A", 0.65),
    _pattern(r"^,? (?:a|an) (?:\w+ ){0,1}(?:kind|type|form|variant|version|dialect|clone|descendant|species|flavor) of (?:the )?$", "IS_A", 0.75),
    _pattern(rf"^(?:an? )(?:\w+ ){{0,2}}(?:kind|type|form|variant|version|family|dialect|clone|descendant|species|flavor) of {AT_MOST % 1}$", "IS_A", 0.7),
    _pattern(rf"^(?:an?|the) {AT_MOST % 3}$", "IS_A", 0.55),  # an entry of a dictionary
    _pattern(r"^,? such as (?:the |a |an )?$", "IS_A", 0.7, backwards=True),
    _pattern(r"^,? (?:and|or) other $", "IS_A", 0.7),
    _pattern(rf"^,? (?:which |that )?{ADVERB}(?:features?|featured|featuring|offers?|offered|provides?|provided|supports?|supported|comes with|ships with) (?:the |a |an )?{AT_MOST % 2}$",
             "FEATURES", 0.7),
    _pattern(rf"^,? (?:\w+ )?(?:interact|communicat|connect|compet|collaborat|exchang|interoperat|talk|interfac)(?:s|es|ed|e|ing)? (?:with|to|against) (?:the |a |an )?{AT_MOST % 1}$",
             "INTERACTS_WITH", 0.75),
    _pattern(r"^,? (?:running |available |used )?(?:on|under|for) (?:the |a |an )?$", "DEPENDS_ON", 0.5,
             sources="Technology Product System", targets="Technology Product System"),
    _pattern(r"^,? (?:at|of) (?:the )?$", "WORKS_FOR", 0.55, sources="Person", targets=GROUPS),
    _pattern(r"^,? (?:at|of|in) (?:the )?$", "PART_OF", 0.5, sources="Organization", targets=GROUPS),
    _pattern(r"^ at (?:the )?$", "LOCATED_IN", 0.5, targets=GROUPS),
    _pattern(r"^,? from (?:the )?$", "CREATED_BY", 0.45, sources="Technology Product System Document", targets=MAKERS),
    _pattern(rf"^['’]s {AT_MOST % 2}$", "CREATED_BY", 0.5, backwards=True, sources="Technology Product Document", targets=MAKERS),
    _pattern(rf"^['’]s {AT_MOST % 2}$", "WORKS_FOR", 0.5, backwards=True, sources="Person", targets=GROUPS),
    _pattern(r"^ $", "CREATED_BY", 0.45, backwards=True, sources="Technology Product", targets=GROUPS),
    _pattern(rf"^, an? {AT_MOST % 2}$", "IS_A", 0.5),
    _pattern(rf"^ {ADVERB}(?:has|have|had) (?:a|an) {AT_MOST % 1}$", "HAS_PROPERTY", 0.5),
)  # fmt: skip


class Reading(NamedTuple):
    """How one sentence relates two mentions; `reversed` when the second is the source."""

    type: str
    reversed: bool
    confidence: float


def read_between(between: str, first_type: str, second_type: str, *, head: bool = True) -> Reading:
    """Tell the relationship of two mentions from the text between them and their types.

    `head` is whether the second mention ends its noun phrase: in "C is a Unix tool" it does not,
    and C is no Unix.
    """
    text = between.casefold() if len(between) <= LONGEST_BETWEEN else ""
    if text.strip() and not NEGATED.search(text) and not BREAK.search(text):
        for pattern in PATTERNS:
            if (head or pattern.type != "IS_A") and pattern.between.search(text):
                fit = _fit(pattern, first_type, second_type)
                if fit >= 0.4:
                    return Reading(pattern.type, pattern.reversed, round(fit, 3))
    nearness = max(0.0, 1.0 - len(between) / 200)
    return Reading("RELATED_TO", False, round(0.2 + 0.2 * nearness, 3))


def _fit(pattern: Pattern, first_type: str, second_type: str) -> float:
    """The pattern's confidence, less for each end whose type it does not expect."""
    ends = (second_type, first_type) if pattern.reversed else (first_type, second_type)
    confidence = pattern.confidence
    for type_, expected in zip(ends, (pattern.sources, pattern.targets), strict=True):
        if expected and type_ not in expected:
            confidence -= 0.25 if type_ == "Concept" else 0.45
    return confidence


def relations_in(
    sentences: list[Sentence],
    mentions: list[list[Mention]],
    entities: Mapping[str, ExtractedEntity],
    subject: str = "",
) -> list[Relation]:
    """Give the relationships between entities that stand side by side in some sentence.

    `subject`, the key of what the document is about, is understood where a sentence leaves it
    out. One relationship per ordered pair and type, strongest evidence as its description; two that
    are related in some named way are not also RELATED_TO.
    """
    evidence: dict[tuple[str, str, str], list[tuple[float, str]]] = {}
    for sentence, found in zip(sentences, mentions, strict=True):
        if subject in entities:
            found = with_subject(sentence, found, subject)
        for source, target, reading in _readings(sentence, found, entities):
            if reading.type == "RELATED_TO" and (target, source, "RELATED_TO") in evidence:
                source, target = target, source
            seen = evidence.setdefault((source, target, reading.type), [])
            seen.append((reading.confidence, sentence.text))
    for source, target, text in _unlinked(
        sentences, mentions, subject if subject in entities else ""
    ):
        evidence.setdefault((source, target, "RELATED_TO"), []).append((UNLINKED, text))
    named = {frozenset(pair) for *pair, type_ in evidence if type_ != "RELATED_TO"}
    return [
        _relation(entities[source].name, entities[target].name, type_, seen)
        for (source, target, type_), seen in evidence.items()
        if type_ != "RELATED_TO" or frozenset((source, target)) not in named
    ]


def with_subject(sentence: Sentence, found: list[Mention], subject: str) -> list[Mention]:
    """The mentions, and before them the subject of "It was written by …", of "A tool that …"."""
    start = definition_start(sentence)
    opening = sentence.words[start].text.casefold() if start < len(sentence.words) else ""
    if opening == "it":
        implied = Mention(subject, start, start + 1)
    elif opening in ("a", "an", "the") and sentence.chunk == 0:
        implied = Mention(subject, start, start)
    else:
        return found
    rest = [mention for mention in found if mention.first >= implied.last]
    return found if any(mention.key == subject for mention in found) else [implied, *rest]


def _unlinked(
    sentences: list[Sentence], mentions: list[list[Mention]], subject: str
) -> Iterator[tuple[str, str, str]]:
    """For each chunk that never names the subject, the subject and what the chunk names first."""
    chunks: dict[int, list[tuple[Mention, str]]] = {}
    for sentence, found in zip(sentences, mentions, strict=True):
        chunks.setdefault(sentence.chunk, []).extend((each, sentence.text) for each in found)
    for found_there in chunks.values() if subject else ():
        if found_there and all(mention.key != subject for mention, _ in found_there):
            mention, text = found_there[0]
            yield subject, mention.key, text


def _readings(
    sentence: Sentence, found: list[Mention], entities: Mapping[str, ExtractedEntity]
) -> Iterator[tuple[str, str, Reading]]:
    for left, right in zip(found, found[1:], strict=False):
        if left.key == right.key:
            continue
        reading = read_between(
            text_between(sentence, left, right),
            entities[left.key].type,
            entities[right.key].type,
            head=is_head(sentence, right),
        )
        ends = (right.key, left.key) if reading.reversed else (left.key, right.key)
        yield *ends, reading


def text_between(sentence: Sentence, left: Mention, right: Mention) -> str:
    """What stands between two mentions; a possessive of the first belongs to it.

    Empty where the first only opens the sentence: "Unlike a worm, a virus …" is no apposition.
    """
    start = sentence.words[left.first].start
    if left.last > left.first:
        last = sentence.words[left.last - 1]
        start = last.end - 2 if last.text.endswith(("'s", "’s")) else last.end
    between = sentence.text[start : sentence.words[right.first].start]
    return "" if between.startswith(",") and is_topic(sentence, left) else between


def is_head(sentence: Sentence, mention: Mention) -> bool:
    """Whether no noun follows that the mention only qualifies."""
    words = sentence.words
    if words[mention.last - 1].text.endswith(("'s", "’s", "'", "’")):
        return False
    if mention.last >= len(words) or sentence.gap(mention.last) not in (" ", "-", "/"):
        return True
    return words[mention.last].text.casefold() in STOP_WORDS


def _relation(source: str, target: str, type_: str, seen: list[tuple[float, str]]) -> Relation:
    confidence, description = max(seen, key=lambda each: (each[0], -len(each[1])))
    repeated = len(seen) - 1
    return Relation(
        source=source,
        target=target,
        type=type_,
        description=description,
        weight=weigh(type_, confidence, repeated),
        confidence=round(min(0.99, confidence + 0.05 * repeated), 3),
        extraction_method="per_chunk",
    )


def weigh(type_: str, confidence: float, repeated: int) -> float:
    """A weight of 0-10: what is named weighs more, and what is said again more still."""
    start = 1.0 if type_ == "RELATED_TO" else 3.0
    return round(min(10.0, start + 3.0 * confidence + 1.0 * repeated), 2)
