"""The four built-in task types and the library of documents and graph that they work on."""
