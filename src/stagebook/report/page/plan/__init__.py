"""A plan as one HTML page that needs nothing else: `chart` draws the sweep, `render` puts all into one text.

The page itself is `plan.html` and `plan.css`; all of it is plain HTML, and its script only switches the theme.
"""
