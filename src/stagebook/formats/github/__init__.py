"""GitHub Actions: workflow files as pipelines with the system's own meaning, and edits of them.

`read` is the way in.
"""
