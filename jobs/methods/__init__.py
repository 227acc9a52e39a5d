"""How text becomes knowledge: pure functions, without models, files, clocks or an event loop.

    formats ► chunks ► entities ► relations      one document   (put together in extract.py)
    neighbours, meetings ► candidates            relationship analysis
    meetings ► weights ► leiden ► identity       community detection
    summaries                                    community summarization

The same input gives the same output in every process, whatever its hash seed.
"""
