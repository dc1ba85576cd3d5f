"""`deploy.py WHEEL SITE`: unpacks the wheel as a release and makes it the candidate. Customers notice nothing yet."""

import os
import subprocess
import sys
import tempfile
import zipfile

import site_layout


def main():
    wheel, site = sys.argv[1], os.path.abspath(sys.argv[2])
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True, check=True)
    name = f"{os.path.basename(wheel).split('-')[1]}-{commit.stdout.strip()}"
    releases = os.path.join(site, "releases")
    os.makedirs(releases, exist_ok=True)
    release = os.path.join(releases, name)
    if not os.path.exists(release):  # a release never changes
        unpacked = tempfile.mkdtemp(prefix=".new-", dir=releases)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
        with open(os.path.join(unpacked, "RELEASE"), "w", encoding="utf-8") as file:
            file.write(f"{name}\n")
        os.rename(unpacked, release)
    site_layout.point(os.path.join(site, "candidate"), release)
    print(f"candidate is {name}")


if __name__ == "__main__":
    main()
