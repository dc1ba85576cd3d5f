"""Runs that were, as a database that can be made anew from their journals. Never on the way of a run."""
