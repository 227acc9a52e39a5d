"""Readers: each takes the text of one file format and gives its paragraphs and headings."""
