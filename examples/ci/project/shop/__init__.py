"""A small web shop: `money` and `pricing` compute, `store` keeps, `web` answers."""

__version__ = "1.4.0"
