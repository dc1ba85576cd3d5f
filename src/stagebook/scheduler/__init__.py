"""The one scheduler: events in, decisions out. No clock, no I/O, no threads, no randomness, standard library only.

Read `vocabulary`, then `plan`, `moves` (the table of legal moves), `machine`; `build` makes a plan from a pipeline.
"""
