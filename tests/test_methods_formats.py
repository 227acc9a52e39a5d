from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.jobs.methods.formats import (
    EXTENSIONS,
    SUPPORTED_TYPES,
    UnreadableDocument,
    file_type_of,
    read_text,
    title_from,
)

MARKDOWN = """\
---
author: nobody
---
# Virtual *memory*

**Paging** moves [pages](http://host/a_(b)) to `swap_area`, as in [the book][1]
and on a second line &amp; <em>more</em>.

Details
-------
- first item
  goes on
- [x] second item

```c
int dropped;
```

    also_dropped();

> quoted
> words

| a | b |
|---|---|
| c | d |

[1]: http://host/target
"""

RESTRUCTURED = """\
==============
Virtual memory
==============

.. _target:

Some *emphasis*, ``code_x``, :py:class:`~os.Path`, `a link <http://host>`_ and word_::

    int dropped;

.. note:: A note is prose
   and goes on.

.. code-block:: c
   :linenos:

   int dropped;

Details
-------

- first item
- second item
  goes on
"""

HTML = """\
<!DOCTYPE html><html><head><title>Virtual memory - A Site</title><style>p { dropped }</style>
<script>if (a<b) { document.write("<p>dropped") }</script></head>
<body><nav><a href="/">dropped</a></nav><h1>Virtual memory</h1>
<p class="x > y">Paging <b>moves</b>&nbsp;pages &amp; more<br>next line</p>loose text
<ul><li>first item<li>second item</ul><pre>dropped</pre><!-- dropped <p>dropped -->
<p>unclosed"""


def test_markdown_keeps_the_words_and_drops_the_markup_and_the_code() -> None:
    document = read_text("md", MARKDOWN.encode())
    assert document.title == "Virtual memory"
    assert document.headings == ["Virtual memory", "Details"]
    assert document.paragraphs == [
        "Paging moves pages to swap_area, as in the book and on a second line & more.",
        "first item goes on",
        "second item",
        "quoted words",
        "a, b",
        "c, d",
    ]


def test_restructured_text_keeps_the_words_and_drops_the_markup_and_the_code() -> None:
    document = read_text("rst", RESTRUCTURED.encode())
    assert document.title == "Virtual memory"
    assert document.headings == ["Virtual memory", "Details"]
    assert document.paragraphs == [
        "Some emphasis, code_x, os.Path, a link and word:",
        "A note is prose and goes on.",
        "first item",
        "second item goes on",
    ]


def test_html_keeps_what_a_reader_of_the_page_sees() -> None:
    document = read_text("html", HTML.encode())
    assert document.title == "Virtual memory"
    assert document.headings == ["Virtual memory"]
    assert document.paragraphs == [
        "Paging moves pages & more",
        "next line",
        "loose text",
        "first item",
        "second item",
        "unclosed",
    ]


def test_plain_text_joins_wrapped_lines_and_knows_headings_and_list_items() -> None:
    text = "A Title\n=======\n\nOne line\nand the well-\nknown next.\n\n- first\n  item\n- second\n"
    document = read_text("txt", text.encode())
    assert document.headings == ["A Title"]
    assert document.paragraphs == ["One line and the well-known next.", "first item", "second"]


@pytest.mark.parametrize("file_type", SUPPORTED_TYPES)
@pytest.mark.parametrize(
    "data",
    [
        "Ein Café — naïve.".encode("utf-8-sig"),
        "Ein Café — naïve.".encode("utf-16"),
        "Ein Café — naïve.".encode("cp1252"),
    ],
)
def test_the_encodings_that_files_come_in_read_the_same(file_type: str, data: bytes) -> None:
    assert read_text(file_type, data).text == "Ein Café — naïve."


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no text"),
        (b" \n\t\n", "no text"),
        (b"*** --- ***", "no text"),
        (b"abc\x00def", "binary"),
        (bytes(range(1, 256)) * 4, "binary"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"PK\x03\x04....", "ZIP"),
        (b"\xff\xfea", "UTF-16"),
    ],
)
def test_what_is_no_text_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        read_text("txt", data)


def test_a_page_nested_absurdly_deep_is_refused() -> None:
    with pytest.raises(UnreadableDocument, match="nests"):
        read_text("html", b"<div>" * 100_000 + b"deep")


def test_an_unknown_type_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnreadableDocument, match="html, md, rst, txt"):
        read_text("pdf", b"text")
    with pytest.raises(UnreadableDocument, match=r"\.md"):
        file_type_of("paper.pdf")


def test_a_filename_gives_the_type_and_a_title() -> None:
    assert {file_type_of(f"Name.{ending.upper()}") for ending in EXTENSIONS} == set(SUPPORTED_TYPES)
    assert title_from("docs/virtual_memory.tar.md") == "virtual memory.tar"
    assert title_from("TOPS-20.txt") == "TOPS-20"


@given(st.sampled_from(SUPPORTED_TYPES), st.text(max_size=300))
def test_any_text_reads_as_single_lines_or_is_refused_as_empty(file_type: str, text: str) -> None:
    try:
        document = read_text(file_type, text.encode("utf-8", "replace"))
    except UnreadableDocument as refused:
        assert str(refused)  # noqa: PT017 - which of the two happens is not the law
        return
    assert document.blocks
    for block in document.blocks:
        assert block.text == " ".join(block.text.split()) != ""


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for file_type in SUPPORTED_TYPES:
        try:
            assert read_text(file_type, data).text
        except UnreadableDocument:
            continue


@given(st.lists(st.sampled_from("[]()`*_<>!|#-=~&\\: \nab"), max_size=200).map("".join))
def test_any_heap_of_markup_is_read_or_refused(text: str) -> None:
    for file_type in SUPPORTED_TYPES:
        try:
            read_text(file_type, text.encode())
        except UnreadableDocument:
            continue
