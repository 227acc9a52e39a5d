from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.jobs.methods.chunks import TARGET, chunk_sentences, chunk_text
from cortex_tasks.jobs.methods.readers.blocks import Block
from cortex_tasks.jobs.methods.sentences import LONGEST, WINDOW, sentences_of

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), max_size=20)
PARAGRAPHS = st.lists(st.lists(WORDS, min_size=1, max_size=40).map(" ".join), max_size=4)


def blocks_of(*paragraphs: str) -> list[Block]:
    return [Block(text) for text in paragraphs if text.strip()]


def test_abbreviations_and_initials_end_no_sentence() -> None:
    text = "Dr. Smith met J. R. Tolkien in the U.S. in Jan. 1950. They talked, e.g. about trees."
    assert sentences_of(text) == [
        "Dr. Smith met J. R. Tolkien in the U.S. in Jan. 1950.",
        "They talked, e.g. about trees.",
    ]


def test_a_chunk_is_about_as_long_as_its_target_and_never_splits_a_sentence() -> None:
    sentences = [f"This is sentence number {number} of a long text." for number in range(100)]
    chunks = chunk_sentences(blocks_of(" ".join(sentences)))
    assert [sentence for chunk in chunks for sentence in chunk] == sentences
    lengths = [len(chunk_text(chunk)) for chunk in chunks]
    assert max(lengths) <= TARGET
    assert min(lengths[:-1]) > TARGET // 2


def test_a_sentence_longer_than_a_chunk_is_one_by_itself() -> None:
    long = "word " * 150 + "end."
    chunks = chunk_sentences(blocks_of("Short one.", long, "Short two."))
    assert chunks == [["Short one."], [long], ["Short two."]]


def test_a_heading_is_in_no_chunk_and_no_chunk_reaches_across_one() -> None:
    blocks = [Block("One."), Block("A heading", heading=True), Block("Two."), Block("Three.")]
    assert chunk_sentences(blocks) == [["One."], ["Two.", "Three."]]


def test_text_without_a_sentence_end_is_cut_at_spaces_or_else_anywhere() -> None:
    for text in ("word " * 100_000, "x" * 500_000, "你好" * 100_000):
        pieces = sentences_of(text)
        assert max(map(len, pieces)) <= LONGEST
        assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


@given(PARAGRAPHS)
def test_nothing_but_white_space_is_lost(paragraphs: list[str]) -> None:
    chunks = chunk_sentences(blocks_of(*paragraphs))
    kept = "".join(sentence for chunk in chunks for sentence in chunk)
    assert "".join(kept.split()) == "".join("".join(paragraphs).split())


@given(PARAGRAPHS)
def test_no_chunk_is_empty_and_none_is_longer_than_its_target_or_its_one_sentence(
    paragraphs: list[str],
) -> None:
    for chunk in chunk_sentences(blocks_of(*paragraphs)):
        assert all(chunk)
        assert len(chunk_text(chunk)) <= TARGET or len(chunk) == 1


def test_a_paragraph_longer_than_the_window_reads_like_a_short_one() -> None:
    sentence = "Mr. Smith went to Washington in the spring. "
    text = sentence * (3 * WINDOW // len(sentence))
    assert set(sentences_of(text)) == {sentence.strip()}
