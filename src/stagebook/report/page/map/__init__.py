"""A map as one HTML page that needs nothing else: `facts` says what it shows, `render` puts it into one text.

The page itself is `map.html`, `map.css` and the parts of one script, which are joined in the order of their numbers.
"""
