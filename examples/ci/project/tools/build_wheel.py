"""Builds dist/shop-VERSION-py3-none-any.whl (PEP 427) without network. The same sources give the same bytes."""

import base64
import hashlib
import os
import re
import zipfile

WHEEL = b"Wheel-Version: 1.0\nGenerator: build_wheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
TIMELESS = (1980, 1, 1, 0, 0, 0)


def version():
    with open("shop/__init__.py", encoding="utf-8") as file:
        return re.search(r'^__version__ = "(.+)"$', file.read(), re.MULTILINE)[1]


def contents(name):
    for module in sorted(os.listdir("shop")):
        if module.endswith(".py"):
            with open(f"shop/{module}", "rb") as file:
                yield f"shop/{module}", file.read()
    with open("README.md", encoding="utf-8") as file:
        readme = file.read()
    head = f"Metadata-Version: 2.1\nName: shop\nVersion: {version()}\nRequires-Python: >=3.9\n"
    yield f"{name}.dist-info/METADATA", f"{head}Description-Content-Type: text/markdown\n\n{readme}".encode()
    yield f"{name}.dist-info/WHEEL", WHEEL
    yield f"{name}.dist-info/entry_points.txt", b"[console_scripts]\nshop = shop.__main__:main\n"


def build(folder):
    name = f"shop-{version()}"
    path = os.path.join(folder, f"{name}-py3-none-any.whl")
    os.makedirs(folder, exist_ok=True)
    record = []
    with zipfile.ZipFile(path + ".part", "w", zipfile.ZIP_DEFLATED) as wheel:
        for inside, data in contents(name):
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{inside},sha256={digest},{len(data)}")
            wheel.writestr(zipfile.ZipInfo(inside, TIMELESS), data, zipfile.ZIP_DEFLATED)
        record.append(f"{name}.dist-info/RECORD,,")
        wheel.writestr(zipfile.ZipInfo(f"{name}.dist-info/RECORD", TIMELESS), "\n".join(record) + "\n")
    os.replace(path + ".part", path)
    return path


def main():
    path = build("dist")
    print(f"{path}: {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
