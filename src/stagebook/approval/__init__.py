"""Who may decide at a gate, about what, and the record of it that cannot be changed unseen. Starts and resumes nothing.

`judge` is pure; `people` reads who is listed, `origin` says who asks, `audit` keeps the chain, `shown` gathers what a
person looks at before an answer, `link` signs a link that answers once, and `server` is where such a link leads.
"""
