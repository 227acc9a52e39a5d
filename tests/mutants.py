"""Deliberate breakages of our own code, and the laws that must notice each of them.

`make mutants` applies one after the other in a copy of the tree, runs only the laws named, and
says of each what was seen:

caught  a law failed
hung    a law came to no end, and pytest ended the run after its `faulthandler_timeout`; that
        counts only for a mutant of which it is expected (`hangs`)
slow    no law had failed after LONGEST seconds: nothing was seen, so it does not count
MISSED  every law held, or they could not be run
gone    what it breaks is no longer there

It ends with 1 unless every mutant was caught.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
LONGEST = 1800  # seconds for the laws of one mutant
_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "data", "build", "dist")


class Mutant(NamedTuple):
    """One breakage: in `file` the text `old`, which stands there once, becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    laws: tuple[str, ...]
    hangs: bool = False  # it may show as a law that never ends


DECISIONS = ("test_scheduling.py", "test_scheduling_retries.py", "test_engine_random_decisions.py")
CHECKPOINTS = ("test_checkpoints.py", "test_simulation.py")
FILES = ("test_journal_damage.py", "test_journal_faults.py", "test_journal_power_cuts.py")

SCHEDULING = "engine/scheduling.py"
ADMISSION = "engine/admission.py"
LIVE = "engine/live_tasks.py"
RECOVERY = "engine/recovery.py"
SEGMENT = "backends/segment.py"
JOURNAL = "backends/journal.py"
CATALOGUE = "engine/catalogue.py"

MUTANTS = (
    Mutant(
        "acknowledge before it is kept",
        "engine/journal.py",
        "            try:\n                await self.keep([change",
        "            for decision in batch:\n"
        "                self._ears.carry_out(decision)\n"
        "                decision.once_kept.clear()\n"
        "            try:\n                await self.keep([change",
        ("test_simulation.py",),
    ),
    Mutant(
        "keep what rests on a commit that was refused",
        "engine/journal.py",
        "        refused = [*batch, *self._waiting]\n        self._waiting = []\n",
        "        refused = batch\n",
        ("test_engine_refused_commit.py", "test_simulation.py"),
    ),
    Mutant(
        "acknowledge before fsync",
        SEGMENT,
        "        self._files.sync(self._descriptor)\n        self.length += len(line)",
        "        self.length += len(line)",
        FILES,
    ),
    Mutant(
        "skip a row of the table",
        "engine/lifecycle.py",
        "    (TaskStatus.RUNNING, LifeEvent.RETRY): TaskStatus.PENDING,\n",
        "",
        ("test_lifecycle.py", *DECISIONS),
    ),
    Mutant(
        "revive what is not over",
        "engine/reviving.py",
        "    if live is not None or record.status is TaskStatus.COMPLETED:\n",
        "    if record.status is TaskStatus.COMPLETED:\n",
        ("test_engine_revivals.py", "test_engine_random_decisions.py"),
    ),
    Mutant(
        "revive what is just being dropped",
        SCHEDULING,
        "        elif record is None or record.id in self._dropping:\n",
        "        elif record is None:\n",
        ("test_exhaustive_core.py",),
    ),
    Mutant(
        "lose a line of a task's log whose commit a later change shares",
        "engine/journal.py",
        "        later.log or earlier.log,\n",
        "        later.log,\n",
        ("test_task_log.py",),
    ),
    Mutant(
        "begin the log anew at a restart",
        RECOVERY,
        "LiveTask(record, params, checkpoint, log)",
        "LiveTask(record, params, checkpoint)",
        ("test_task_log.py",),
    ),
    Mutant(
        "leave the span of a body in the place that ran it",
        "cortex_tasks/tracing/tasks.py",
        "            context.detach(token)\n",
        "",
        ("test_tracing.py",),
    ),
    Mutant(
        "start tasks of a paused type",
        "engine/queues.py",
        " and self.running < self.concurrency and not self.paused:",
        " and self.running < self.concurrency:",
        ("test_engine_pauses.py", "test_engine_random_decisions.py"),
    ),
    Mutant(
        "forget a pause in a compaction",
        "backends/recovery.py",
        "    found.index.paused.update(start.paused)\n",
        "",
        ("test_engine_pauses.py", "test_backend_agreement.py"),
    ),
    Mutant(
        "forget what is paused when a commit finds no room",
        LIVE,
        "        self.pause(self.paused)\n",
        "",
        ("test_disk_full.py",),
    ),
    Mutant(
        "forget how a revived task ended before",
        LIVE,
        '            "attempts": with_newest_attempt(record, record.error or record.message),\n',
        "",
        ("test_engine_revivals.py",),
    ),
    Mutant(
        "leave the end of a revived task where cleanup finds it",
        "engine/catalogue.py",
        "            self._forget_end(earlier, number)\n",
        "",
        ("test_catalogue.py",),
    ),
    Mutant(
        "tell who waits for an end what came after it",
        "engine/ledger.py",
        "        return end.record\n",
        "        return self.get(task_id)\n",
        ("test_engine_revivals.py",),
    ),
    Mutant(
        "leave a child's children alive",
        "engine/child_process.py",
        "os.killpg(self.pid, signal.SIGKILL)",
        "os.kill(self.pid, signal.SIGKILL)",
        ("test_children.py",),
    ),
    Mutant(
        "resurrect on late progress",
        SCHEDULING,
        "        if live is None or live.record.attempt != attempt:\n            return None\n"
        "        return live if live.record.status is TaskStatus.RUNNING else None",
        "        return live",
        DECISIONS,
    ),
    Mutant(
        "drop a stop",
        LIVE,
        "        self.decision.at_once.append(Stop(live.record.type, live.record.id, why))\n",
        "",
        DECISIONS,
    ),
    Mutant(
        "forget a retry's wait",
        "engine/outcomes.py",
        "        run_at = now + wait\n",
        "        run_at = now\n",
        DECISIONS,
    ),
    Mutant(
        "lose a checkpoint at the next attempt",
        LIVE,
        "        live.checkpoint = checkpoint\n",
        "",
        CHECKPOINTS,
    ),
    Mutant(
        "lose a checkpoint at a restart",
        RECOVERY,
        "recovered.checkpoints.get(record.id)",
        "None",
        CHECKPOINTS,
    ),
    Mutant(
        "cut a result",
        "backends/memory.py",
        "put.result.copy()",
        "msgspec.Raw(bytes(put.result)[:-1])",
        ("test_backend_conformance.py", "test_simulation.py"),
    ),
    Mutant(
        "keep the lock",
        "backends/lock.py",
        "        if self._descriptor is not None:\n",
        "        if self._descriptor is None:\n",
        ("test_journal_lock.py",),
    ),
    Mutant("ignore a torn line", JOURNAL, "        segment.cut(found.length)\n", "", FILES),
    Mutant(
        "count a failed task as completed",
        "engine/outcomes.py",
        "        self._tasks.finish(live, LifeEvent.FAIL, fields)\n",
        "        self._tasks.finish(live, LifeEvent.SUCCEED, fields)\n",
        DECISIONS,
    ),
    Mutant(
        "let the progress fall",
        "engine/progress.py",
        "int(max(record.progress_percent, min(99, percent)))",
        "int(max(0, min(99, percent)))",
        DECISIONS,
    ),
    Mutant(
        "say 100 % before it is completed",
        "engine/progress.py",
        "min(99, percent)",
        "min(100, percent)",
        DECISIONS,
    ),
    Mutant(
        "keep the place of a task that is tried again",
        LIVE,
        "        self.queues.leave(before.type)\n",
        "",
        DECISIONS,
    ),
    Mutant(
        "keep the key of a task that is over",
        LIVE,
        '        self.free_key(record)\n        fields["completed_at"]',
        '        fields["completed_at"]',
        DECISIONS,
    ),
    Mutant(
        "keep a task's stop for its next attempt",
        LIVE,
        "        live.told, live.overdue, live.unsaid = None, False, None\n",
        "",
        DECISIONS,
    ),
    Mutant(
        "forget a delay",
        LIVE,
        "            run_at=self.in_future(submission.run_at),\n",
        "",
        ("test_engine_delays.py",),
    ),
    Mutant(
        "forget a priority",
        LIVE,
        "            priority=submission.priority,\n",
        "",
        DECISIONS,
    ),
    Mutant(
        "answer a cancel while the body runs",
        SCHEDULING,
        "            live.cancel_replies += (reply,)\n",
        "            self._tasks.answer(reply, live.record)\n",
        DECISIONS,
    ),
    Mutant(
        "bring back a cancelled task after a crash",
        RECOVERY,
        "    elif record.cancel_requested_at is not None:\n",
        "    elif False:\n",
        DECISIONS,
    ),
    Mutant(
        "never see that a task is poisonous",
        RECOVERY,
        "    count = live.record.interruptions + 1\n",
        "    count = 1\n",
        ("test_checkpoints.py", "test_poison.py"),
    ),
    Mutant(
        "take more than the queue may hold",
        ADMISSION,
        "            if not queue.has_room_for(ready, early):\n",
        "            if False:\n",
        DECISIONS,
    ),
    Mutant(
        "take tasks while it drains",
        SCHEDULING,
        "        if self._draining:\n            return EngineNotRunning",
        "        if False:\n            return EngineNotRunning",
        DECISIONS,
    ),
    Mutant(
        "drop a task twice",
        SCHEDULING,
        "            if task_id not in self._dropping:",
        "            if True:",
        DECISIONS,
    ),
    Mutant(
        "drop a task that is not over",
        SCHEDULING,
        "            if record is None or not record.final or task_id in self._tasks.by_id:\n",
        "            if record is None:\n",
        DECISIONS,
    ),
    Mutant(
        "retry a failed fsync",
        SEGMENT,
        "        self._files.sync(self._descriptor)\n        self.length += len(line)",
        "        try:\n            self._files.sync(self._descriptor)\n"
        "        except OSError:\n            self._files.sync(self._descriptor)\n"
        "        self.length += len(line)",
        FILES,
    ),
    Mutant(
        "trust a snapshot whose name was not synced",
        "backends/compaction.py",
        "            self._files.remove(self.path)\n            raise\n",
        "            raise\n",
        FILES,
    ),
    Mutant(
        "leave a thread behind a KeyboardInterrupt",
        "engine/places.py",
        "                if isinstance(error, KeyboardInterrupt | SystemExit):\n",
        "                if isinstance(error, SystemExit):\n",
        ("test_engine_interrupted.py",),
    ),
    Mutant(
        "leave half a line on a full disk",
        SEGMENT,
        "            self.cut(self.length)\n            raise as_storage_error",
        "            raise as_storage_error",
        FILES,
    ),
    Mutant(
        "cut without a sync",
        SEGMENT,
        "        self._files.truncate(self._descriptor, length)\n"
        "        self._files.sync(self._descriptor)",
        "        self._files.truncate(self._descriptor, length)",
        FILES,
    ),
    Mutant(
        "leave the name of a new journal unsynced",
        SEGMENT,
        "        files.sync_folder(folder)\n        return Segment(",
        "        return Segment(",
        FILES,
    ),
    Mutant(
        "leave the names of value files unsynced",
        "backends/values.py",
        "            files.sync_folder(folder / name)",
        "            pass",
        FILES,
    ),
    Mutant(
        "give a new file its name before it is synced",
        "backends/disk.py",
        "        self._files.sync(self._descriptor)\n        self._close()",
        "        self._close()",
        FILES,
    ),
    Mutant(
        "believe a line that was never synced",
        JOURNAL,
        "    segment.settle(found.last)\n",
        "",
        FILES,
    ),
    Mutant(
        "read a large value whatever its check sum",
        "backends/values.py",
        '        if f"{zlib.crc32(data):08x}" != self.file.crc:',
        "        if False:",
        FILES,
    ),
    Mutant(
        "forget the numbers of dropped tasks",
        "backends/recovery.py",
        "    found.index.last_seq = max(found.index.last_seq, start.seq)",
        "    pass",
        FILES,
    ),
    Mutant(
        "overlook that a line has vanished before pauses",
        "backends/account.py",
        "        lacking = highest <= newest and (before is None or before.lacking)",
        "        lacking = False",
        ("test_doctor_vanished_lines.py",),
    ),
    Mutant(
        "take numbers that a commit left out for lost",
        "backends/account.py",
        "                first = min(first, before.highest + 1)",
        "                pass",
        ("test_doctor_gaps.py",),
    ),
    Mutant(
        "take no number for lost",
        "backends/account.py",
        "            if n - place.n == distance:",
        "            if True:",
        ("test_doctor_gaps.py",),
    ),
    Mutant(
        "read a value from beside its place",
        "backends/batch.py",
        "        at -= RESULT_KEY\n",
        "",
        ("test_backend_json.py", *FILES),
    ),
    Mutant(
        "go through all records for a page",
        CATALOGUE,
        "for number in shown]\n",
        "for number in list(listed) if number in shown]\n",
        ("test_page_cost.py",),
    ),
    Mutant(
        "count the page instead of all that match",
        CATALOGUE,
        "return TaskPage(records, len(listed), following, min(offset, len(listed)))",
        "return TaskPage(records, len(shown), following, min(offset, len(listed)))",
        ("test_catalogue.py",),
    ),
    Mutant(
        "take the place of a cursor from before a restart as it stands",
        CATALOGUE,
        "return min(max(cursor.place, lowest), highest)",
        "return cursor.place",
        ("test_cursors.py",),
    ),
    Mutant(
        "tell a stream whose key has been revoked",
        "http/streams.py",
        "if portion and not self._visit.goes_on:",
        "if False:",
        ("test_http_revoked.py",),
    ),
    Mutant(
        "answer a long poll whose key has been revoked",
        "http/tasks.py",
        "            raise\n        call.check_again()\n",
        "            raise\n",
        ("test_http_revoked.py",),
    ),
    Mutant(
        "forget at a restart that a clock was set back",
        CATALOGUE,
        "self.by_age = all(map(le, created, islice(created, 1, None)))",
        "self.by_age = True",
        ("test_catalogue.py",),
    ),
    Mutant(
        "list the wrong task after a cleanup",
        "engine/ordered.py",
        "items[begin + 1 : at + 1] = items[begin:at]",
        "pass",
        ("test_ordered.py", "test_catalogue.py"),
    ),
)


def is_there(mutant: Mutant, tree: Path = ROOT) -> bool:
    """Whether what it breaks stands in the code, once."""
    return (tree / mutant.file).read_text().count(mutant.old) == 1


def outcome(mutant: Mutant, tree: Path) -> str:
    """Break this copy of the tree, run the laws, mend it, and say what was seen."""
    file = tree / mutant.file
    whole = file.read_text()
    file.write_text(whole.replace(mutant.old, mutant.new))
    try:
        code, errors = _run_laws(mutant.laws, tree)
    finally:
        file.write_text(whole)
    if code is None:
        return "slow"
    if re.search(r"^Timeout \(\d+:\d\d:\d\d\)!", errors, re.MULTILINE):
        return "hung"
    return "caught" if code == 1 else "MISSED"  # 0: all held; more: they could not be run


def _run_laws(laws: tuple[str, ...], tree: Path) -> tuple[int | None, str]:
    """Give pytest's exit code, None if it came to no end, and what it wrote to stderr."""
    # It leaves at once with what pytest says: a thread that a law left behind would keep it.
    leave = "import os, sys, pytest; os._exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", leave, "-xq", "-p", "no:cacheprovider", "--tb=no"]
    # A file, not a pipe: a process that a law left behind would hold the pipe open.
    with tempfile.TemporaryFile("w+", errors="replace") as stderr:
        with subprocess.Popen(
            [*command, *(f"tests/{law}" for law in laws)],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        ) as run:
            try:
                code: int | None = run.wait(LONGEST)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)  # and what a law left behind
        stderr.seek(0)
        return code, stderr.read()


def main(words: list[str]) -> int:
    """Try every mutant, or those whose name holds one of the words."""
    say = sys.stdout.write
    chosen = [one for one in MUTANTS if not words or any(word in one.name for word in words)]
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        shutil.copytree(ROOT, tree, symlinks=True, ignore=_LEFT_OUT)
        for mutant in chosen:
            said = outcome(mutant, tree) if is_there(mutant, tree) else "gone"
            seen["noticed"] += said == "caught" or (said == "hung" and mutant.hangs)
            seen[said] += 1
            say(f"{said:<6}  {mutant.name}\n")
            sys.stdout.flush()
    noticed = seen.pop("noticed")
    parts = ", ".join(f"{count} {said}" for said, count in seen.items())
    say(f"{noticed} of {len(chosen)} noticed ({parts})\n")
    return 0 if noticed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
