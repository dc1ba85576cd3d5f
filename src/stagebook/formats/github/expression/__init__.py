"""The language of `${{ }}` and `if:` in files of GitHub Actions: read, asked what it speaks of, and evaluated as far as
its contexts are known. Knows neither jobs nor files.

    tree = parse("github.ref == 'refs/heads/main'")          # ExpressionError with `offset` where it is wrong
    evaluate(tree, {"github": {"ref": "refs/heads/main"}})   # True
    truth(tree, {})                                          # None: not known yet
    references(tree)                                         # [Reference(("github", "ref"), 0)]
    calls(tree)                                              # [Call("contains", 12, 2)]: functions that it calls
    template("a-${{ matrix.os }}")                           # [Part("a-", 0, None), Part(" matrix.os ", 5, tree)]
    fill("a-${{ matrix.os }}", {"matrix": {"os": "x"}})      # 'a-x'; of `${{ … }}` alone the value itself
    condition("always()")                                    # the tree of an `if:`, with or without `${{ }}`
    has_status(tree)                                         # whether it calls success(), always() …

Values are None, bool, float or int, str, list and dict, as JSON has them. UNKNOWN is the value of what is known only
later: of a context that is not among those given, of a key that an `Open` dict does not have, of a function that needs
somebody to answer it (`hashFiles`, `success`, …) and has nobody. What follows from it is unknown too, unless it does
not matter: `false && x` is false. `functions` maps names in lower case to callables that take the arguments' values.
"""

from __future__ import annotations

from stagebook.formats.github.expression.evaluate import evaluate, truth
from stagebook.formats.github.expression.grammar import CONTEXTS, FUNCTIONS, STATUS, ExpressionError, Node, parse
from stagebook.formats.github.expression.meaning import Call, Reference, calls, has_status, references
from stagebook.formats.github.expression.text import Part, condition, fill, render, template
from stagebook.formats.github.expression.value import UNKNOWN, Open, to_bool, to_json, to_text

__all__ = [
    "CONTEXTS", "FUNCTIONS", "STATUS", "UNKNOWN", "Call", "ExpressionError", "Node", "Open", "Part", "Reference",
    "calls", "condition", "evaluate", "fill", "has_status", "parse", "references", "render", "template", "to_bool",
    "to_json", "to_text", "truth",
]  # fmt: skip
