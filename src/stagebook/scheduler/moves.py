"""The states of a stage and the one table of moves between them. Nothing that decides which move is made.

Everything not in `MOVES` is a defect. The diagram in docs/explanation/scheduler.md is generated from this table.
States are small whole numbers, so that ten thousand stages fit into ten thousand bytes; all from `SUCCESS` on are
ends. `tests/scheduler/test_moves.py` checks that every move here can really happen.
"""

from __future__ import annotations

WAITING, JUDGING, READY, LEASING, HELD, RUNNING, KILLING, BACKOFF, ASKING, GATE = range(10)
SUCCESS, FAILURE, ERROR, TIMEOUT, CANCELLATION, SKIP = range(10, 16)

#: The word for each state; those of the ends are the outcome words of the whole project.
NAMES: tuple[str, ...] = (
    "waiting",  # some need has not ended
    "judging",  # needs are done; its condition is being evaluated
    "ready",  # waits for units
    "leasing",  # has its units; the driver tries to get those that are shared with other runs
    "held",  # another run has those; holds nothing
    "running",  # an attempt exists and holds units
    "killing",  # told to end; holds its units until its exit is reported
    "backoff",  # an attempt failed; the next one waits for its time
    "asking",  # has begun and is not safe to repeat: a person must say what it is
    "gate",  # a person must say whether what waits for it may go on
    "success",
    "failure",
    "error",
    "timeout",
    "cancellation",
    "skip",
)

STATES: dict[str, int] = {name: state for state, name in enumerate(NAMES)}

#: From each state: where to, and what brings it there (the label in the diagram).
MOVES: dict[int, dict[int, str]] = {
    WAITING: {
        READY: "needs done",
        JUDGING: "needs done, has a condition",
        ASKING: "needs done, ran before",
        GATE: "needs done, is a gate",
        SKIP: "a need failed, or the plan says so",
        CANCELLATION: "cancelled",
        TIMEOUT: "run timeout",
        SUCCESS: "kept from before a change, or done",
        FAILURE: "kept from before a change",
        ERROR: "kept from before a change",
    },
    JUDGING: {
        READY: "condition holds",
        ASKING: "condition holds, ran before",
        GATE: "condition holds, is a gate",
        SUCCESS: "condition holds, done",
        SKIP: "condition does not hold",
        ERROR: "condition has no answer",
        WAITING: "a need is open again",
        CANCELLATION: "cancelled",
        TIMEOUT: "run timeout",
    },
    READY: {
        RUNNING: "units taken",
        LEASING: "units taken, shares with other runs",
        SUCCESS: "done",
        WAITING: "a need is open again",
        CANCELLATION: "cancelled",
        TIMEOUT: "queue, stage or run timeout",
    },
    LEASING: {
        RUNNING: "leased",
        HELD: "refused",
        READY: "resumed",
        SUCCESS: "done",
        WAITING: "a need is open again",
        CANCELLATION: "cancelled",
        TIMEOUT: "queue, stage or run timeout",
    },
    HELD: {
        READY: "may be free, or resumed",
        WAITING: "a need is open again",
        CANCELLATION: "cancelled",
        TIMEOUT: "queue, stage or run timeout",
        SUCCESS: "done",
    },
    RUNNING: {
        SUCCESS: "exit",
        FAILURE: "exit",
        ERROR: "exit",
        TIMEOUT: "exit, as the driver says",
        CANCELLATION: "exit, as the driver says",
        KILLING: "timeout or cancelled",
        BACKOFF: "failed, attempts left",
        READY: "failed or interrupted, attempts left",
        WAITING: "interrupted, a need is open again",
        ASKING: "interrupted",
    },
    KILLING: {
        TIMEOUT: "exit",
        CANCELLATION: "exit",
        BACKOFF: "exit, attempts left",
        READY: "exit, attempts left",
        WAITING: "exit after resumed",
    },
    BACKOFF: {
        READY: "time over",
        WAITING: "a need is open again",
        CANCELLATION: "cancelled",
        TIMEOUT: "stage or run timeout",
    },
    ASKING: {
        READY: "run again",
        SUCCESS: "done",
        WAITING: "a need is open again",
        CANCELLATION: "cancelled",
        TIMEOUT: "run timeout",
    },
    GATE: {
        SUCCESS: "approved, or by default",
        FAILURE: "rejected",
        WAITING: "a need is open again",
        CANCELLATION: "cancelled",
        TIMEOUT: "nobody decided, or run timeout",
    },
    SUCCESS: {WAITING: "resumed, cleans up again, or an approval is void"},
    FAILURE: {WAITING: "resumed, cleans up again"},
    ERROR: {WAITING: "resumed"},
    TIMEOUT: {WAITING: "resumed"},
    CANCELLATION: {WAITING: "resumed"},
    SKIP: {WAITING: "resumed"},
}

#: `MOVES` as one flat row for the hot path: legal if `LEGAL[old * STATE_COUNT + new]`.
STATE_COUNT = len(NAMES)
LEGAL = bytes(new in MOVES[old] for old in range(STATE_COUNT) for new in range(STATE_COUNT))
