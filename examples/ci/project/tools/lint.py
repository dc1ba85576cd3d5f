"""A small linter over the syntax tree: `python3 tools/lint.py PATH…`. One line a finding, exit 1 if there is any."""

import ast
import builtins
import os
import sys

LINE_LENGTH = 120
BUILTINS = set(dir(builtins)) - {"format", "copyright", "credits", "license", "exit", "quit", "id", "help"}


def findings(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LINE_LENGTH:
            yield number, f"line of {len(line)} characters, at most {LINE_LENGTH}"
        if line != line.rstrip():
            yield number, "white space at the end of the line"
        if "\t" in line:
            yield number, "tab"
    try:
        tree = ast.parse(text, path)
    except SyntaxError as problem:
        yield problem.lineno or 0, f"not Python: {problem.msg}"
        return
    if tree.body and not ast.get_docstring(tree):
        yield 1, "module without a docstring"
    yield from unused_imports(tree)
    for node in ast.walk(tree):
        yield from of_node(node)


def unused_imports(tree):
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name in node.names:
                imported[(name.asname or name.name).partition(".")[0]] = node.lineno
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name, number in imported.items():
        if name not in used:
            yield number, f"import of {name} is not used"


def of_node(node):
    if isinstance(node, ast.ExceptHandler) and node.type is None:
        yield node.lineno, "bare except"
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        for default in node.args.defaults + node.args.kw_defaults:
            if isinstance(default, (ast.List, ast.Dict, ast.Set)):
                yield default.lineno, f"default of {node.name} is shared between calls"
        if node.end_lineno - node.lineno > 60:
            yield node.lineno, f"{node.name} has more than 60 lines"
    elif isinstance(node, ast.Compare):
        for operator, right in zip(node.ops, node.comparators):
            if isinstance(operator, (ast.Eq, ast.NotEq)) and isinstance(right, ast.Constant) and right.value is None:
                yield node.lineno, "compared with None by value"
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in BUILTINS:
        yield node.lineno, f"{node.id} hides a builtin"


def python_files(paths):
    for path in paths:
        if os.path.isfile(path):
            yield path
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (os.path.join(folder, name) for name in sorted(names) if name.endswith(".py"))


def main():
    files = list(python_files(sys.argv[1:]))
    if not files:
        sys.exit("lint: no Python file there")
    found = 0
    for path in files:
        for number, text in sorted(findings(path)):
            print(f"{path}:{number}: {text}")
            found += 1
    print(f"{len(files)} files, {found} findings")
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
