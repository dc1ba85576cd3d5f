"""`promote.py SITE`: makes the candidate current, in one step, and asks the served result who it is."""

import os
import sys

import site_layout


def main():
    site = os.path.abspath(sys.argv[1])
    release = os.path.realpath(os.path.join(site, "candidate"))
    current = os.path.join(site, "current")
    site_layout.point(current, release)
    with site_layout.served(current) as ask:
        health = ask("GET", "/health")[1]
    if health["release"] != os.path.basename(release):
        sys.exit(f"{os.path.basename(release)} was promoted, {health['release']} answers")
    print(f"current is {health['release']}")


if __name__ == "__main__":
    main()
