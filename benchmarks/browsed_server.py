"""A server process for the benchmark of the page: much in its store, and a large graph."""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from cortex_tasks import TaskEngine
from cortex_tasks.http.app import create_app
from cortex_tasks.http.listening import bind
from cortex_tasks.http.serving import serve
from cortex_tasks.jobs.builtin import builtin_task_types
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.model import ExtractedEntity, Extraction, Relation

from .engine_speed import sleeper, word_count
from .full_store import FOR_EVER, FullBackend, make_records

TASKS = 100_000
GROUPS, IN_GROUP = 40, 125
ENTITIES = GROUPS * IN_GROUP
OF_EACH = 3  # relationships that an entity has, mostly within its group


def _what_the_document_says() -> Extraction:
    """Entities in groups that detection finds again, some related across them."""
    random.seed(1)
    names = [f"Entity {number}" for number in range(ENTITIES)]
    pairs: set[tuple[int, int]] = set()
    for number, _ in itertools.product(range(ENTITIES), range(OF_EACH)):
        first = number - number % IN_GROUP
        everywhere = random.random() < 0.05
        other = random.randrange(ENTITIES) if everywhere else first + random.randrange(IN_GROUP)
        if number != other and (other, number) not in pairs:
            pairs.add((number, other))
    return Extraction(
        chunks=["All of it."],
        entities=[
            ExtractedEntity(
                name=name, type="Concept", description="", mentions={0: 1 + number % IN_GROUP}
            )
            for number, name in enumerate(names)
        ],
        relations=[
            Relation(
                source=names[one],
                target=names[other],
                type="USES",
                description="One uses the other.",
                weight=3.0,
                confidence=0.9,
                extraction_method="per_chunk",
            )
            for one, other in sorted(pairs)
        ],
    )


async def _learn(library: Library) -> None:
    document = await library.documents.add(b"All of it.", filename="all.md")
    await library.processing.claim_pending("task_bench", limit=1)
    await library.processing.store_extraction(document.id, "task_bench", _what_the_document_says())


async def _run(folder: Path) -> None:
    backend = FullBackend(make_records(TASKS))
    async with (
        Library(folder / "library.sqlite") as library,
        TaskEngine(
            [word_count, sleeper, *builtin_task_types(library)],
            backend=backend,
            retention=FOR_EVER,
        ) as engine,
    ):
        await _learn(library)
        await (await engine.submit("community_detection")).result()
        with bind("127.0.0.1", 0) as listener:
            await serve(
                create_app(engine, library=library),
                listener=listener,
                on_ready=lambda url: print(url, flush=True),
            )


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        anyio.run(_run, Path(folder), backend=sys.argv[1])
