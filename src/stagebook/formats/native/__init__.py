"""Our own YAML: read, checked, expanded, cached by content. Nothing of other systems' formats.

`read` is the way in. `grammar` is the format as one table; `nodes` reads YAML under limits; `check` holds nodes
against the table; `stage`, `matrix`, `expand` and `document` give them meaning; `schema` prints the table.
"""
