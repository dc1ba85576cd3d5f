"""What a pipeline is: frozen, typed values. No I/O, no third-party import, no order of execution.

Read `pipeline` first, then `outcome` and `problem`. `value.NamedTuple` is used throughout, as it is the cheapest frozen
value to import, create and keep: `dataclasses` alone costs more start-up than all of this package.
"""
