"""GitLab CI: pipeline files with what they include as pipelines, with the system's own meaning.

`read` is the way in.
"""
