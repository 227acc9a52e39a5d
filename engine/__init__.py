"""The engine: a supervisor that owns task state, workers that run task bodies, a journal writer that keeps both."""
