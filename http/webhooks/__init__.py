"""Telling other programs, by HTTP, that a task has ended: kept until told, signed, tried for a day.

model      what a hook is, and a delivery
signing    secrets and signatures
targets    which addresses may be told
lookups    where a name is, however long its server takes to say so
outbox     what is to be told, on disk
posting    one attempt
dispatch   the actors: one that writes down what is to be told, one for each hook that tells it
"""
