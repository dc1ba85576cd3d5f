"""Items through three functions in one program, by each of the libraries: the same functions, queues of 100.

    python benchmarks/flows.py NAME COUNT [MS]

prints items a second, imports and a first small round not counted. A function adds one. With MS it sleeps first; what
is printed then is the share of what the workers could do at best, by how long they really slept.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any, Callable

from stagebook import step, stream

QUEUE = 100
SLEEP_S = 0.0
SLEPT_S: list[float] = []


def more(value: int) -> int:
    return value + 1


def all_more(values: list[int]) -> list[int]:
    return [value + 1 for value in values]


def slowly(value: int) -> int:
    began = time.perf_counter()
    time.sleep(SLEEP_S)
    SLEPT_S.append(time.perf_counter() - began)
    return value + 1


def count_of(values: Any) -> int:
    return sum(1 for _ in values)


def one_by_one(count: int) -> int:
    return count_of(stream(range(count), more, more, more))


def generator(count: int) -> int:
    """Items of which the library cannot know that they are at hand."""
    return count_of(stream((number for number in range(count)), more, more, more))


def in_order(count: int) -> int:
    return count_of(stream(range(count), *[step(more, workers=2)] * 3, ordered=True))


def threads_100(count: int) -> int:
    return count_of(stream(range(count), *[step(all_more, batch=100)] * 3))


def processes_100(count: int) -> int:
    return count_of(stream(range(count), *[step(all_more, batch=100, processes=True)] * 3))


def slow_steps(workers: int) -> Callable[[int], int]:
    return lambda count: count_of(stream(range(count), *[step(slowly, workers=workers)] * 3))


def asyncio_queues(count: int) -> int:
    end = object()

    async def work(source: asyncio.Queue[Any], sink: asyncio.Queue[Any]) -> None:
        while (value := await source.get()) is not end:
            await sink.put(value + 1)
        await sink.put(end)

    async def feed(sink: asyncio.Queue[Any]) -> None:
        for value in range(count):
            await sink.put(value)
        await sink.put(end)

    async def chain() -> int:
        queues: list[asyncio.Queue[Any]] = [asyncio.Queue(QUEUE) for _ in range(4)]
        tasks = [asyncio.create_task(feed(queues[0]))]
        tasks += [asyncio.create_task(work(queues[at], queues[at + 1])) for at in range(3)]
        seen = 0
        while await queues[3].get() is not end:
            seen += 1
        await asyncio.gather(*tasks)
        return seen

    return asyncio.run(chain())


def aiostream_map(count: int) -> int:
    from aiostream import stream as aio

    async def chain() -> int:
        seen = 0
        values = aio.iterate(range(count))
        for _ in range(3):
            values = aio.map(values, more)
        async with values.stream() as opened:
            async for _ in opened:
                seen += 1
        return seen

    return asyncio.run(chain())


def pypeln(kind: str) -> Callable[[int], int]:
    def chain(count: int) -> int:
        import pypeln

        room = getattr(pypeln, kind)
        values: Any = range(count)
        for _ in range(3):
            values = room.map(more_later if kind == "task" else more, values, workers=1, maxsize=QUEUE)
        return count_of(values)

    return chain


async def more_later(value: int) -> int:
    return value + 1


def streamable_map(concurrency: int) -> Callable[[int], int]:
    def chain(count: int) -> int:
        from streamable import stream as plain

        values = plain(range(count))
        for _ in range(3):
            values = values.map(more, concurrency=concurrency) if concurrency > 1 else values.map(more)
        return count_of(values)

    return chain


def joblib_generators(count: int) -> int:
    from joblib import Parallel, delayed

    values: Any = range(count)
    for _ in range(3):
        parallel = Parallel(n_jobs=2, return_as="generator", backend="threading")
        values = parallel(delayed(more)(value) for value in values)
    return count_of(values)


FLOWS: dict[str, Callable[[int], int]] = {
    "stagebook": one_by_one,
    "stagebook, a generator": generator,
    "stagebook, 2 workers, in order": in_order,
    "stagebook, threads, batch 100": threads_100,
    "stagebook, processes, batch 100": processes_100,
    "asyncio.Queue": asyncio_queues,
    "aiostream": aiostream_map,
    "streamable": streamable_map(1),
    "streamable, concurrency 2": streamable_map(2),
    "joblib generator": joblib_generators,
    "pypeln.thread": pypeln("thread"),
    "pypeln.process": pypeln("process"),
    "pypeln.task": pypeln("task"),
    **{f"slow {workers}": slow_steps(workers) for workers in (1, 2, 4)},
}


def main() -> None:
    global SLEEP_S
    name, count = sys.argv[1], int(sys.argv[2])
    SLEEP_S = float(sys.argv[3]) / 1000 if len(sys.argv) > 3 else 0.0
    flow = FLOWS[name]
    flow(10)
    began = time.perf_counter()
    seen = flow(count)
    took = time.perf_counter() - began
    if seen != count:
        sys.exit(f"{seen} of {count} items came out")
    figure = count / took
    if SLEPT_S:
        figure *= sum(SLEPT_S) / len(SLEPT_S) / int(name.split()[1])
    print(figure, flush=True)
    os._exit(0)  # some of them leave threads behind that never end


if __name__ == "__main__":
    main()
