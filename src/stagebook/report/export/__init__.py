"""A run for other programs and pages: one module a format, each with `render(document, now_us)` that gives its text.

`document` is what `show --json` prints; `now_us`, on the run's own clock, is how far a run that goes on has come.
No file is read or written here, nothing is guessed, and every text of a user's is made harmless for its format.
"""
