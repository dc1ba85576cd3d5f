"""How even the shards were, by a merged report: the tests and the time of each, and the longest against the mean."""

import sys
from xml.etree import ElementTree

tests: dict[str, int] = {}
times: dict[str, float] = {}
for suite in ElementTree.parse(sys.argv[1]).getroot():
    shard = suite.find("./properties/property[@name='shard']").get("value")
    for case in suite.iter("testcase"):
        tests[shard] = tests.get(shard, 0) + 1
        times[shard] = times.get(shard, 0) + float(case.get("time"))
for shard in sorted(tests, key=int):
    print(f"shard {shard}: {tests[shard]:>3} tests, {times[shard]:.2f} s")
mean = sum(times.values()) / len(times)
print(f"longest {max(times.values()) / mean:.2f} × mean, {sum(tests.values())} tests")
