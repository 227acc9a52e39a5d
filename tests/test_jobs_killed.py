"""Each of the four jobs, killed as hard as anyone can at random moments and begun again: nothing
in the library is half done, and it ends as one ends that was never disturbed.
"""

from __future__ import annotations

import multiprocessing
import random
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from cortex_tasks.jobs.library import Library
from tests.jobs_process import PARAMS, work
from tests.knowledge import said_together
from tests.library_rules import broken_rules_of_file
from tests.small_world import BINARY, add_texts, attempt

JOBS = tuple(PARAMS)
LIBRARIES = 2  # that each job is killed in
KILLS = 3  # in each, at the most: a task that is interrupted too often is given up
# Forked from a process that has everything loaded and no threads: a job begins at once.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.jobs_process"])


@contextmanager
def at_work(job: str, folder: Path, loop: str) -> Iterator[Connection]:
    """Do the job in a process; give what it says, from the moment that it has begun.

    It is killed at the end of the block, if it has not come to its own.
    """
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=work, args=(theirs, loop, folder, job))
    process.start()
    theirs.close()
    try:
        assert ours.recv() == "begun"
        yield ours
    finally:
        process.kill()
        process.join()
        ours.close()
    assert process.exitcode in (0, -signal.SIGKILL)


def finish(job: str, folder: Path, loop: str) -> float:
    """Let it come to its end; give how long it took, in seconds."""
    with at_work(job, folder, loop) as said:
        begun = time.monotonic()
        assert said.recv() == "done"
        ended = time.monotonic()
    return ended - begun


def rows(folder: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "library.db")) as connection:
        return connection.execute(query).fetchall()


def contents(folder: Path) -> dict[str, Any]:
    """All that the library keeps, but what depends on when it was written."""
    with closing(sqlite3.connect(folder / "library.db")) as connection:
        documents = connection.execute(
            "SELECT filename, status, error, chunk_count, entity_count FROM documents ORDER BY seq"
        )
        return {"documents": documents.fetchall(), **dict(said_together(connection))}


async def prepare(folder: Path, job: str) -> None:
    """Make a library that has work for the job; its communities have summaries already."""
    folder.mkdir()
    async with Library(folder / "library.db") as library:
        await add_texts(library, copies=2)
        for number, earlier in enumerate(JOBS):
            await attempt(library, earlier, task_id=f"task_before_{number}")
        for community in (await library.communities.page()).communities:
            await library.summaries.store_summary(community.id, "A name", "Good.", drift=0.0)
        await add_texts(library, copies=6, first=2)
        await library.documents.add(BINARY, filename="bad.txt")
        for number, earlier in enumerate(JOBS[: JOBS.index(job)], start=len(JOBS)):
            await attempt(library, earlier, task_id=f"task_before_{number}")


@pytest.mark.parametrize("job", JOBS)
async def test_killed_at_random_moments_a_job_leaves_all_whole_and_ends_like_one_undisturbed(
    job: str, anyio_backend_name: str, tmp_path: Path
) -> None:
    chance = random.Random(f"{job} killed on {anyio_backend_name}")
    fresh, undisturbed = tmp_path / "fresh", tmp_path / "undisturbed"
    await prepare(fresh, job)
    shutil.copytree(fresh, undisturbed)
    duration = finish(job, undisturbed, anyio_backend_name)
    final = contents(undisturbed)
    assert contents(fresh) != final

    for number in range(LIBRARIES):
        killed = tmp_path / f"killed_{number}"
        shutil.copytree(fresh, killed)
        good = summarised(killed)
        for _ in range(KILLS):
            with at_work(job, killed, anyio_backend_name) as said:
                threading.Event().wait(chance.uniform(0, duration))  # decides nothing
                ended = said.poll()
            owners = {task_id for (task_id,) in rows(killed, "SELECT task_id FROM documents")}
            assert broken_rules_of_file(killed / "library.db", owners) == []
            assert len({each for each in owners if each and "before" not in each}) <= 1
            good &= communities(killed)
            assert good <= summarised(killed)  # a good summary never gives way to an empty one
            good = summarised(killed)
            if ended:
                break
        finish(job, killed, anyio_backend_name)
        assert broken_rules_of_file(killed / "library.db") == []
        assert contents(killed) == final


def communities(folder: Path) -> set[int]:
    return {id_ for (id_,) in rows(folder, "SELECT id FROM communities")}


def summarised(folder: Path) -> set[int]:
    return {id_ for (id_,) in rows(folder, "SELECT id FROM communities WHERE summary <> ''")}
