"""Which new community is an old one: so that an id, once shown, keeps its meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import CommunityDraft


def keep_ids(
    old: Mapping[int, Sequence[str]], new: Sequence[Sequence[str]], next_id: int
) -> list[CommunityDraft]:
    """Give each new community an id, in the order of `new`; no id twice.

    A community that keeps more than half of its members keeps its id. Where several old ones went
    into one, it keeps the id of the one that most of its members come from, and of equals the
    lowest; the others' ids are not used again. Every other community gets an id from `next_id` on
    that no old one had.
    """
    homes = {member: at for at, members in enumerate(new) for member in members}
    claims: dict[int, tuple[int, int]] = {}  # of a new community: (-members kept, old id)
    for id_, members in sorted(old.items()):
        kept: dict[int, int] = {}
        for member in set(members):
            if member in homes:
                kept[homes[member]] = kept.get(homes[member], 0) + 1
        for at, count in kept.items():
            if 2 * count > len(set(members)):  # true of one `at` at most
                claims[at] = min(claims.get(at, (0, 0)), (-count, id_))
    drafts: list[CommunityDraft] = []
    free = max(next_id, max(old, default=next_id - 1) + 1)
    for at, members in enumerate(new):
        if at in claims:
            id_ = claims[at][1]
        else:
            id_, free = free, free + 1
        drafts.append(CommunityDraft(id=id_, members=list(members)))
    return drafts
