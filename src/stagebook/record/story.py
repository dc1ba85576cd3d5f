"""A run as it unfolds, in memory: fed by the engine while it goes on, or by a journal afterwards, and turned into the
document that `run --json` and `show --json` print. Knows nothing of files or processes, and decides nothing.

Stages are indices of the plan; times are whole microseconds since the run began.
"""
