"""`python3 tides.pyz KNOWN NOW`: the minutes until high water."""

import sys

from tides import next_high


def main() -> None:
    known, now = map(int, sys.argv[1:3])
    print(f"high water in {next_high(known, now) - now} minutes")


main()
