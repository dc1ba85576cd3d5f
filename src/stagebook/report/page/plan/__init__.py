"""A plan as one HTML page that needs nothing else: `chart` draws the sweep, `text` puts all together.

The page itself is `plan.html` and `plan.css`; all of it is plain HTML, and its script only switches the theme.
"""

from __future__ import annotations

from stagebook.report.page.plan.text import render

__all__ = ["render"]
