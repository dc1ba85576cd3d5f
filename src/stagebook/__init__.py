"""Stagebook: should these stages run one after another, or in parallel? Measured, planned and run on your machine."""

__version__ = "0.1.0"
