"""Who is told of a run, and of what: a process beside the run reads its journal and sends messages. The engine and the
run know nothing of it, so that whatever becomes of a message, a run goes on as if there were none.

`news` finds in a journal what is to be told, `message` says it, `targets` knows who, `deliver` keeps the times, `send`
is the process that sends one message, `follower` the one beside the run, and `beginning` starts it.
"""
