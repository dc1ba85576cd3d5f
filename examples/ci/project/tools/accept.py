"""`accept.py WHEEL`: imports every module from the wheel alone, in a Python that sees nothing of this directory."""

import os
import subprocess
import sys

PYTHON = sys.executable or "python3"  # with no PATH at all Python cannot tell where it is
CHECK = (
    "import importlib, pkgutil, sys; sys.path.insert(0, sys.argv[1]); import shop;"
    "names = [m.name for m in pkgutil.iter_modules(shop.__path__, 'shop.')];"
    "[importlib.import_module(name) for name in names if not name.endswith('__main__')];"
    "from shop import pricing; assert pricing.bill([pricing.Line(1, 10, 100)])['total'] == 920;"
    "assert shop.__file__.startswith(sys.argv[1]); print(shop.__version__)"
)


def main():
    wheel = sys.argv[1]
    said = subprocess.run(
        [PYTHON, "-I", "-c", CHECK, os.path.abspath(wheel)],
        cwd="/",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    expected = os.path.basename(wheel).split("-")[1]
    if said.stdout.strip() != expected:
        sys.exit(f"the wheel says {said.stdout.strip()!r}, its name {expected!r}")
    print(f"{wheel} imports on its own")


if __name__ == "__main__":
    main()
