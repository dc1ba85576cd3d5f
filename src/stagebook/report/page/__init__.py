"""One run as one HTML page that needs nothing else: `facts` says what it shows, `render` puts it into one text.

The page itself is `page.html`, `page.css` and the parts of one script, which are joined in the order of their numbers;
`base.css`, `base.js` and `frame` are what it shares with the pages of a map and of a plan.
"""
