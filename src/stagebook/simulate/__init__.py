"""Drives the scheduler's machine on a virtual clock: the same plan, the same decisions, no processes."""
