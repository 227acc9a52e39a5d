"""docs/quickstart.md, walked literally: every block in bash, with curl and jq, on both loops."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from .documents import ROOT, Place, blocks

DOCUMENTS = len(list((ROOT / "docs/sample/jargon").glob("*.md")))
VOLUMES = 20


class Walk:
    """What each block printed."""

    def __init__(self, place: Place) -> None:
        walk = blocks("docs/quickstart.md", "bash")
        self._said = list(zip(walk, place.run(walk), strict=True))
        self.server_log = place.server_log()

    def said_by(self, words: str, heading: str) -> str:
        """What was printed by the one block under the heading in which these words stand."""
        [said] = [
            said for block, said in self._said if block.heading == heading and words in block.text
        ]
        return said

    def json_of(self, words: str, heading: str) -> Any:
        """The JSON object with which that block ended."""
        said = self.said_by(words, heading)
        start = re.search(r"^\{", said, re.MULTILINE)
        assert start is not None, said
        return json.loads(said[start.start() :])


@pytest.fixture(scope="module")
def walk(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    return Walk(Place(tmp_path_factory.mktemp("walk"), anyio_backend))


def followed(said: str) -> list[tuple[str, int]]:
    """The statuses and percents that `follow` printed."""
    found = re.findall(r"^\w+  (\w+)  (\d+)%  ", said, re.MULTILINE)
    return [(status, int(percent)) for status, percent in found]


def test_the_server_answers(walk: Walk) -> None:
    health = walk.json_of("cortex-tasks serve", "A key and a server")
    assert health["status"] == "healthy"


def test_documents_are_uploaded_once(walk: Walk) -> None:
    said = walk.said_by("for file in", "Upload").splitlines()
    assert said[0] == "pending  ADVENT.md"
    assert (len(said) - 1, said[-1]) == (DOCUMENTS, str(DOCUMENTS))
    refused = walk.json_of("jargon/Unix.md", "Upload")
    assert refused["status"] == 409
    assert "already exists" in refused["detail"]


def test_the_four_jobs_complete_and_find_something(walk: Walk) -> None:
    processed = walk.json_of("process-pending", "Process")
    assert (processed["processed"], processed["failed"]) == (DOCUMENTS, 0)
    analysed = walk.json_of("relationships/analyze", "Analyse, detect, summarise")
    assert analysed["relationships_stored"] > 0
    detected = walk.json_of("communities/detect", "Analyse, detect, summarise")
    assert detected["total"] > 2
    assert detected["distribution"]["min_size"] >= 4
    summarised = walk.said_by("communities/summarize", "Analyse, detect, summarise")
    named = re.findall(r"^(.+) \((\d+)\)\n  (.+)$", summarised, re.MULTILINE)
    assert len(named) == detected["total"]
    assert all(len(summary) > 40 for _, _, summary in named)


def test_the_loop_sees_progress_that_never_falls_and_stops_at_the_end(walk: Walk) -> None:
    for words, heading in (
        ("process-pending", "Process"),
        ("relationships/analyze", "Analyse, detect, summarise"),
        ("communities/detect", "Analyse, detect, summarise"),
        ("communities/summarize", "Analyse, detect, summarise"),
    ):
        *before, last = followed(walk.said_by(words, heading))
        assert last == ("completed", 100)
        percents = [percent for _, percent in before]
        assert percents == sorted(percents)
        assert {status for status, _ in before} <= {"pending", "running"}


def test_a_cancelled_task_has_stopped_and_stays_on_record(walk: Walk) -> None:
    heading = "Cancel a running task"
    answer = walk.json_of("-X DELETE", heading)
    assert (answer["status"], answer["message"]) == ("cancelled", "Task cancelled")
    said = walk.said_by("documents/pending", heading)
    record, end = json.JSONDecoder().raw_decode(said)
    assert (record["task_id"], record["status"]) == (answer["task_id"], "cancelled")
    assert record["completed_at"] is not None
    assert 0 < int(said[end:]) <= VOLUMES


def test_a_killed_server_has_lost_nothing_and_takes_the_task_up_under_the_same_id(
    walk: Walk,
) -> None:
    heading = "Kill the server"
    assert walk.said_by("kill -9", heading) == "The server is dead.\n"
    said = walk.said_by("Every record is there", heading)
    assert said.startswith("healthy\nEvery record is there.\n")
    taken_up = walk.json_of("Every record is there", heading)
    assert taken_up["status"] in ("pending", "running")
    aborted = walk.json_of("generation/abort", heading)
    assert aborted["tasks_cancelled"] == [taken_up["task_id"]]


def test_the_command_line_and_cleanup_see_the_same_tasks(walk: Walk) -> None:
    listed = walk.said_by("cortex-tasks list", "Look back, clean up").splitlines()[1:]
    statuses = [line.split()[2] for line in listed]
    assert statuses == ["cancelled"] * 2 + ["completed"] * 4
    cleaned = walk.json_of("cleanup", "Look back, clean up")
    assert (cleaned["removed"], cleaned["remaining"]) == (0, 6)


def test_the_server_says_where_it_is_and_complains_about_nothing(walk: Walk) -> None:
    starts = re.findall(r"^Cortex tasks at http://127.0.0.1:\d+$", walk.server_log, re.MULTILINE)
    assert len(starts) == 2
    assert not re.search("Traceback|ERROR|WARNING", walk.server_log)
