"""A name and a summary for a community, taken from what the texts say of its members."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from .lexrank import Matrix, centrality, similarities
from .linking import Linker
from .passages import Sentence, Spelling
from .sentences import sentences_of
from .statements import is_statement
from .weights import edge_weights
from .words import entity_key, words_of

NAMED_MEMBERS = 3  # in the name of a community
CONSIDERED = 300  # sentences; of more, those that name most
LONGEST = 700  # characters of a summary
MOST_SENTENCES = 4
REDUNDANT = 0.35  # a sentence this much like a chosen one says nothing new
NO_SPELLING = Spelling(())


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a community is called, and what it is about."""

    name: str  # never empty
    summary: str  # never empty: whole sentences of the texts


class _Found(msgspec.Struct, frozen=True):
    """A sentence that could be part of the summary."""

    text: str
    members: frozenset[str]  # keys of the members that it names
    worth: float  # how much of the community's weight these carry


def summarise(
    members: Sequence[str],
    chunks: Sequence[str],
    mentions: Mapping[str, Sequence[int]],
    *,
    chunk_count: int = 0,
) -> Summary | None:
    """Summarise a community from the chunks that mention its members.

    `mentions` gives for each member the positions in `chunks` that mention it; `chunk_count` is
    the size of the whole library, by which a name is rare (by default, these chunks are all).
    Sentences naming two or more members are preferred; questions, and sentences that lean on the
    one before, are never taken. None when no sentence can be: there is nothing to say.
    """
    prominence = prominent(members, mentions, max(chunk_count, len(chunks)))
    found = _sentences(prominence, chunks, mentions)
    if not found:
        return None
    chosen = _choose(found, similarities([each.text for each in found]))
    return Summary(name=name_of(prominence), summary=" ".join(each.text for each in chosen))


def prominent(
    members: Sequence[str], mentions: Mapping[str, Sequence[int]], chunk_count: int
) -> dict[str, float]:
    """Weigh each member by its ties to the others times its rarity, most prominent first.

    Of equals, and where there are no ties, the order of `members` decides.
    """
    own = {member: mentions.get(member, ()) for member in members}
    degrees: defaultdict[str, float] = defaultdict(float)
    for a, b, weight in edge_weights(own, chunk_count).edges():
        degrees[a] += weight
        degrees[b] += weight
    weighed = {}
    for member in members:
        rarity = math.log((1 + chunk_count) / (1 + len(set(own[member])))) + 0.1
        weighed[member] = round(degrees[member] * rarity, 6)
    order = {member: position for position, member in enumerate(members)}
    return dict(sorted(weighed.items(), key=lambda each: (-each[1], order[each[0]])))


def name_of(prominence: Mapping[str, float]) -> str:
    """Name a community after its most prominent members, none a mere part of another."""
    chosen: list[str] = []
    for member in prominence:
        words = set(entity_key(member).split())
        if not any(
            words <= (other := set(entity_key(name).split())) or other <= words for name in chosen
        ):
            chosen.append(member)
        if len(chosen) == NAMED_MEMBERS:
            break
    *most, last = chosen
    return f"{', '.join(most)} and {last}" if most else last


def _sentences(
    prominence: Mapping[str, float],
    chunks: Sequence[str],
    mentions: Mapping[str, Sequence[int]],
) -> list[_Found]:
    """The usable sentences that name members, in reading order; at most CONSIDERED."""
    linker = Linker()
    worths = {}
    most = max(prominence.values(), default=0.0) or 1.0
    for member, weight in prominence.items():
        worths[linker.add(member, cased=member.isupper())] = weight / most
    texts = dict.fromkeys(
        sentence
        for chunk in sorted({chunk for member in prominence for chunk in mentions.get(member, ())})
        for sentence in sentences_of(chunks[chunk])
    )
    found: list[_Found] = []
    for text in texts:
        if is_statement(text):
            named = linker.mentions(Sentence(text, words_of(text), 0), NO_SPELLING)
            keys = frozenset(mention.key for mention in named)
            if keys:
                found.append(_Found(text, keys, math.fsum(sorted(worths[key] for key in keys))))
    best = sorted(range(len(found)), key=lambda at: (-found[at].worth, at))[:CONSIDERED]
    return [found[at] for at in sorted(best)]


def _choose(found: Sequence[_Found], alike: Matrix) -> list[_Found]:
    """The best sentences that do not repeat each other, best first."""
    central = centrality(alike)

    def score(at: int) -> float:
        each = found[at]
        return central[at] * (1.5 if len(each.members) > 1 else 1.0) + min(1.5, each.worth)

    chosen: list[int] = []
    length = 0
    for at in sorted(range(len(found)), key=lambda at: (-round(score(at), 6), at)):
        fits = length + len(found[at].text) <= LONGEST
        new = all(alike[at, other] < REDUNDANT for other in chosen)
        if not chosen or (fits and new):
            chosen.append(at)
            length += len(found[at].text) + 1
        if len(chosen) == MOST_SENTENCES:
            break
    return [found[at] for at in chosen]
