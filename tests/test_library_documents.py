"""Documents: what is taken, what is refused, and how they are listed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.jobs.library import (
    DocumentNotFound,
    DuplicateDocument,
    EmptyDocument,
    Library,
    UnsupportedFileType,
    UnusableName,
)
from cortex_tasks.jobs.model import DocumentStatus


class Ticking:
    """A clock that is a second further each time it is asked."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 15, 10, 30, tzinfo=UTC)

    def now(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


def in_memory() -> Library:
    return Library.in_memory(offload=offload_inline, clock=Ticking())


async def test_an_added_document_is_pending_and_keeps_every_byte() -> None:
    content = bytes(range(256)) * 10
    async with in_memory() as library:
        added = await library.documents.add(
            content, filename="handbook.md", collection_id="docs", source="wiki"
        )
        assert added.status is DocumentStatus.PENDING
        assert (added.file_type, added.file_size) == ("md", 2560)
        assert added.upload_date == datetime(2026, 3, 15, 10, 30, 1, tzinfo=UTC)
        assert await library.documents.get(added.id) == added
        kept = await library.documents.content(added.id)
        assert (kept.document, kept.content) == (added, content)


async def test_the_same_name_and_content_is_taken_once() -> None:
    async with in_memory() as library:
        first = await library.documents.add(b"one", filename="a.txt")
        with pytest.raises(DuplicateDocument, match=first.id) as refused:
            await library.documents.add(b"one", filename="a.txt", collection_id="other")
        assert refused.value.document_id == first.id
        await library.documents.add(b"one", filename="b.txt")
        await library.documents.add(b"two", filename="a.txt")
        assert (await library.documents.page()).total == 3


async def test_a_deleted_document_can_be_added_again() -> None:
    async with in_memory() as library:
        first = await library.documents.add(b"one", filename="a.txt")
        assert await library.documents.delete(first.id) == first
        with pytest.raises(DocumentNotFound, match=first.id):
            await library.documents.get(first.id)
        again = await library.documents.add(b"one", filename="a.txt")
        assert again.status is DocumentStatus.PENDING


@pytest.mark.parametrize("content", [b"", b" \n\t\r\n "])
async def test_a_document_with_nothing_in_it_is_refused(content: bytes) -> None:
    async with in_memory() as library:
        with pytest.raises(EmptyDocument, match=r"a\.txt"):
            await library.documents.add(content, filename="a.txt")
        assert (await library.documents.page()).total == 0


@pytest.mark.parametrize("filename", ["a.exe", "a", "a.txt.zip", ".md", "a." + "x" * 200])
async def test_an_unsupported_type_is_refused_with_those_that_are_supported(filename: str) -> None:
    async with in_memory() as library:
        with pytest.raises(UnsupportedFileType, match="html, md, rst, txt"):
            await library.documents.add(b"x", filename=filename)


async def test_a_stated_file_type_counts_more_than_the_name() -> None:
    async with in_memory() as library:
        document = await library.documents.add(b"x", filename="README", file_type=".Markdown")
        assert document.file_type == "md"
        with pytest.raises(UnsupportedFileType):
            await library.documents.add(b"x", filename="a.md", file_type="exe")


@pytest.mark.parametrize(
    "filename", ["", "  ", "a\0b.txt", "a\nb.txt", "\x1b[31m.txt", "\ud800.txt", "x" * 256 + ".md"]
)
async def test_a_name_that_cannot_be_kept_is_refused(filename: str) -> None:
    async with in_memory() as library:
        with pytest.raises(UnusableName):
            await library.documents.add(b"x", filename=filename)
        with pytest.raises(UnusableName):
            await library.documents.add(b"x", filename="a.txt", source=filename or "\0")


@pytest.mark.parametrize(
    "filename", ["../../etc/passwd.txt", "a'; DROP TABLE documents; --.md", "日本語.html", "%_.rst"]
)
async def test_a_strange_name_is_kept_as_it_is(filename: str) -> None:
    async with in_memory() as library:
        document = await library.documents.add(b"x", filename=filename)
        [listed] = (await library.documents.page()).documents
        assert listed.filename == document.filename == filename


async def test_documents_are_listed_newest_first_a_page_at_a_time() -> None:
    async with in_memory() as library:
        names = [f"{number}.txt" for number in range(7)]
        for name in names:
            await library.documents.add(b"x", filename=name)
        seen: list[str] = []
        for offset in (0, 3, 6, 9):
            page = await library.documents.page(limit=3, offset=offset)
            assert (page.total, page.limit, page.offset) == (7, 3, offset)
            seen += [document.filename for document in page.documents]
        assert seen == names[::-1]


async def test_a_list_is_bounded_whatever_is_asked_for() -> None:
    async with in_memory() as library:
        await library.documents.add(b"x", filename="a.txt")
        page = await library.documents.page(limit=10**30, offset=-5)
        assert (page.limit, page.offset, len(page.documents)) == (1000, 0, 1)
        assert (await library.documents.page(limit=-1, offset=10**30)).documents == []


async def test_documents_are_found_by_collection_and_status() -> None:
    async with in_memory() as library:
        await library.documents.add(b"x", filename="a.txt", collection_id="one")
        b = await library.documents.add(b"x", filename="b.txt", collection_id="two")
        await library.processing.claim_pending("task_1", collection_id="two", limit=9)
        await library.processing.mark_failed(b.id, "task_1", "no text")

        async def names(**wanted: str) -> list[str]:
            page = await library.documents.page(**wanted)  # type: ignore[arg-type]
            assert page.total == len(page.documents)
            return [document.filename for document in page.documents]

        assert await names() == ["b.txt", "a.txt"]
        assert await names(collection_id="one") == ["a.txt"]
        assert await names(status="failed") == ["b.txt"]
        assert await names(status="failed", collection_id="one") == []
        assert await names(status="nonsense") == []
        assert await names(collection_id="\ud800") == []


async def test_pending_documents_are_counted_in_full_and_listed_oldest_first() -> None:
    async with in_memory() as library:
        for number in range(5):
            await library.documents.add(b"x", filename=f"{number}.txt")
        pending = await library.documents.pending(limit=2)
        assert pending.pending_count == 5
        assert [document.filename for document in pending.documents] == ["0.txt", "1.txt"]


@pytest.mark.parametrize("document_id", ["", "doc_none", "' OR 1=1 --", "\ud800", "x" * 100_000])
async def test_an_id_that_no_document_has_is_not_found(document_id: str) -> None:
    async with in_memory() as library:
        await library.documents.add(b"x", filename="a.txt")
        for ask in (library.documents.get, library.documents.content, library.documents.delete):
            with pytest.raises(DocumentNotFound):
                await ask(document_id)
