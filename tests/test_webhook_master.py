"""The master secret of the webhooks does not become another one untold."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from cortex_tasks.engine.errors import StorageError
from cortex_tasks.http.webhooks.checking import problems_of_outbox
from cortex_tasks.http.webhooks.continuity import keep_on
from cortex_tasks.http.webhooks.model import Hook, HookEvent
from cortex_tasks.http.webhooks.outbox import OUTBOX_FILE, Outbox
from cortex_tasks.http.webhooks.signing import MASTER_FILE, VARIABLE, Secrets

from .journal_setting import BEGIN

HOOK = Hook(
    id="wh_1",
    url="https://example.org/",
    events=(HookEvent.COMPLETED,),
    created_at=BEGIN,
    since_seq=0,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@asynccontextmanager
async def started(data: Path) -> AsyncIterator[Outbox]:
    """Open the outbox as a server does that starts."""
    outbox = Outbox(data / OUTBOX_FILE)
    await outbox.open()
    try:
        await keep_on(outbox, Secrets.in_folder(data))
        yield outbox
    finally:
        await outbox.aclose()


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    async with started(tmp_path) as outbox:
        await outbox.add_hook(HOOK)
    return tmp_path


async def test_a_master_secret_that_was_overwritten_is_refused_as_long_as_there_are_hooks(
    data: Path,
) -> None:
    whole = (data / MASTER_FILE).read_bytes()
    (data / MASTER_FILE).write_bytes(bytes(32))
    with pytest.raises(StorageError, match="is not the secret that the webhooks were added with"):
        async with started(data):
            pass
    (data / MASTER_FILE).write_bytes(whole)
    async with started(data) as outbox:
        await outbox.remove_hook(HOOK.id)
    (data / MASTER_FILE).write_bytes(bytes(32))
    assert problems_of_outbox(data) == []
    async with started(data):
        pass


async def test_one_that_was_removed_is_made_anew_and_said(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (data / MASTER_FILE).unlink()
    [problem] = problems_of_outbox(data)
    assert f"{data / MASTER_FILE} is missing" in problem
    async with started(data):
        pass
    [record] = caplog.records
    assert "all 1 of them have other secrets" in record.getMessage()
    assert problems_of_outbox(data) == []
    caplog.clear()
    async with started(data):
        assert caplog.records == []


async def test_one_that_is_given_is_said_to_be_another_and_not_looked_for_in_the_folder(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (data / MASTER_FILE).rename(data / "aside")
    monkeypatch.setenv(VARIABLE, "given to the server alone")
    async with started(data):
        assert len(caplog.records) == 1
    monkeypatch.delenv(VARIABLE)
    assert problems_of_outbox(data) == []
    (data / "aside").rename(data / MASTER_FILE)
    with pytest.raises(StorageError, match=f"or give it in {VARIABLE}"):
        async with started(data):
            pass


async def test_an_outbox_from_before_takes_the_secret_that_it_finds(data: Path) -> None:
    with closing(sqlite3.connect(data / OUTBOX_FILE)) as connection:
        connection.execute("DROP TABLE master")
        connection.commit()
    assert problems_of_outbox(data) == []
    async with started(data) as outbox:
        assert await outbox.mark() == Secrets.in_folder(data).mark


async def test_the_mark_of_a_master_secret_tells_no_secret(data: Path) -> None:
    secrets = Secrets.in_folder(data)
    assert (data / MASTER_FILE).read_bytes().hex() not in secrets.mark
    assert secrets.of(HOOK.id).removeprefix("whsec_") not in secrets.mark
