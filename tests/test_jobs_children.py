"""The jobs as people run them: on disk, in child processes, and killed without warning."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import anyio
import pytest

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.jobs.builtin import builtin_task_types
from cortex_tasks.jobs.chains import STEPS
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.model import CommunityDraft
from cortex_tasks.jobs.operations import Operations, ProcessingStarted
from tests.knowledge import learn, saying
from tests.small_world import BINARY, add_texts


async def test_the_whole_chain_runs_on_disk_in_child_processes(tmp_path: Path) -> None:
    async with Library(tmp_path / "library.db") as library:
        await add_texts(library)
        await library.documents.add(BINARY, filename="bad.txt")
        async with TaskEngine(builtin_task_types(library), backend=MemoryBackend()) as engine:
            operations = Operations(engine, library)
            started = await operations.process_pending(chain=STEPS)
            assert isinstance(started, ProcessingStarted)
            task_id: str | None = started.task_id
            while task_id is not None:
                record = await engine.wait(task_id)
                assert record.status is TaskStatus.COMPLETED, record.error
                task_id = record.next_id
        status = await library.graph.status()
        assert status.summarized_community_count == status.community_count >= 2
        stats = await library.stats()
        assert (stats.completed_count, stats.failed_count) == (4, 1)


async def test_a_cancel_kills_the_child_and_stores_nothing(tmp_path: Path) -> None:
    async with Library(tmp_path / "library.db") as library:
        # Long enough that it cannot be done before the cancel comes.
        text = " ".join(f"The Engine {n} drives the Wheel {n + 1}." for n in range(100_000))
        document = await library.documents.add(text.encode(), filename="long.txt")
        async with TaskEngine(builtin_task_types(library), backend=MemoryBackend()) as engine:
            handle = await engine.submit("document_processing")
            while (await library.documents.get(document.id)).status != "extracting":
                await anyio.lowlevel.checkpoint()
            record = await handle.cancel()
            assert record.status is TaskStatus.CANCELLED
            assert (await library.documents.get(document.id)).status == "pending"
            assert (await library.stats()).chunk_count == 0


async def test_a_cancel_reaches_the_weighing_of_a_graph_and_the_communities_stay(
    tmp_path: Path,
) -> None:
    # Each chunk mentions forty of five thousand: a second's work, and a cancel takes far less.
    chunks = [" ".join(f"E{(7 * at + n * n) % 5_000:04}" for n in range(40)) for at in range(3_000)]
    async with Library(tmp_path / "library.db") as library:
        await learn(library, "large.txt", saying(*chunks))
        draft = CommunityDraft(id=1, members=["E0000", "E0001"])
        [before] = await library.detection.replace_communities([draft], None, revision=1)
        types = builtin_task_types(library)
        async with TaskEngine(types, backend=MemoryBackend(), progress_interval=0) as engine:
            changes = engine.events()
            handle = await engine.submit("community_detection")
            async for change in changes:
                assert change.record is not None
                assert not change.record.final
                if change.record.message.startswith("Weighing"):
                    break
            record = await handle.cancel()
            assert record.status is TaskStatus.CANCELLED
        [after] = (await library.communities.page()).communities
        assert (after.id, after.entity_count) == (before.id, 2)


@pytest.mark.parametrize("documents", [1, 3, 8])
async def test_killed_at_any_moment_it_goes_on_under_the_same_id_and_counts_all_once(
    tmp_path: Path, anyio_backend_name: str, documents: int
) -> None:
    library_path, tasks = tmp_path / "library.db", tmp_path / "tasks"
    async with Library(library_path) as library:
        added = await add_texts(library, copies=6)
    command = [sys.executable, "-m", "tests.processing_process", str(tmp_path), anyio_backend_name]
    killed = await anyio.run_process([*command, str(documents)], check=False, stderr=None)
    assert killed.returncode == -signal.SIGKILL
    task_id = killed.stdout.decode().strip()
    async with Library(library_path) as library:
        done = (await library.stats()).completed_count
        assert documents <= done < len(added)
        async with TaskEngine(builtin_task_types(library), backend=JsonBackend(tasks)) as engine:
            record = await engine.wait(task_id)
            assert record.status is TaskStatus.COMPLETED, record.error
            assert (record.attempt, record.interruptions) == (2, 1)
            result = await engine.result(task_id)
            assert result["total"] == result["processed"] == len(added)
            assert len({each["document_id"] for each in result["documents"]}) == len(added)
        stats = await library.stats()
        assert (stats.completed_count, stats.chunk_count) == (12, 12)
