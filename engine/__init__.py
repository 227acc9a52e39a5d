"""The engine: a supervisor that owns task state, workers that run bodies, a journal writer."""
