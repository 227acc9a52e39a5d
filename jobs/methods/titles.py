"""Which titles of documents and sections name a subject that other texts may mention."""

from __future__ import annotations

from functools import lru_cache

from .lexicon import SECTION_TITLES, STOP_WORDS, VAGUE_WORDS
from .passages import is_identifier
from .words import CACHED, words_of

LONGEST_TITLE = 6  # words
LONGEST_HEADING = 4


@lru_cache(CACHED)  # a collection asks about the same titles for each of its documents
def names_subject(title: str) -> bool:
    """Whether a document's title is the name of something, rather than a label or a sentence."""
    if len(title) > 100:
        return False
    words = [word.text for word in words_of(title)]
    if not 1 <= len(words) <= LONGEST_TITLE or title.rstrip()[-1:] in "?!:;":
        return False
    lowered = [word.casefold() for word in words]
    if len(words) == 1:
        lone = lowered[0] in STOP_WORDS and not is_identifier(words[0])
        return not lone and not words[0].isdigit() and lowered[0] not in SECTION_TITLES
    subjects = [word for word in lowered if word not in STOP_WORDS | SECTION_TITLES]
    digits = sum(word[0].isdigit() for word in words)
    return bool(subjects) and 2 * digits <= len(words)


def heading_names_subject(heading: str) -> bool:
    """Whether a section's heading does; it takes more, for sections have labels more often."""
    words = [word.text for word in words_of(heading[:100])]
    lowered = [word.casefold() for word in words]
    plain = STOP_WORDS | SECTION_TITLES | VAGUE_WORDS
    return (
        1 < len(words) <= LONGEST_HEADING
        and names_subject(heading)
        and not words[0][0].isdigit()
        and not any(word in plain for word in (lowered[0], lowered[-1]))
    )
