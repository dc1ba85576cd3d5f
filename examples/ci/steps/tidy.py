"""Removes the releases of .work/site that are neither current nor candidate any more."""

import os
import shutil

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SITE = os.path.join(HERE, ".work", "site")
RELEASES = os.path.join(SITE, "releases")


def main():
    kept = {os.path.realpath(os.path.join(SITE, link)) for link in ("current", "candidate")}
    for name in os.listdir(RELEASES) if os.path.isdir(RELEASES) else ():
        release = os.path.realpath(os.path.join(RELEASES, name))
        if release not in kept:
            shutil.rmtree(release)


if __name__ == "__main__":
    main()
