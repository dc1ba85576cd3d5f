"""Items of a Python program through functions side by side: `stream` and `step`. The machine decides what goes where
and when; here are the threads and processes that do it, and the blocks in which it sees items. No pipeline file and no
record.
"""
