"""Parts of `benchmarks/conformance.py`, one a data set: each gives rows of its table and looks at nothing else."""
