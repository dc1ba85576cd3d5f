"""Runs that other systems have recorded: fetched, matched with the stages of a pipeline file, kept as journals."""
