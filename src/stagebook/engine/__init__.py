"""Drives the machine with real processes: keeper, loop, spawn, ending of trees, resume. Chooses no order or policy."""
