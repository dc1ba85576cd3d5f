"""The process of one job of a CI system: what it finds, its steps in order, what it leaves for other jobs. Which job
starts when is decided elsewhere, and nothing here knows an engine."""
