"""A map as one HTML page that needs nothing else: `facts` says what it shows, `text` puts it together.

The page itself is `map.html`, `map.css` and the parts of one script, which are joined in the order of their numbers.
"""

from __future__ import annotations

from stagebook.report.page.map.text import render

__all__ = ["render"]
