"""Where records and results are kept: in memory, or in JSON files."""
