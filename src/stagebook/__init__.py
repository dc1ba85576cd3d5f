"""Stagebook: should these stages run one after another, or in parallel? Measured, planned and run on your machine."""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.streaming.shape import StreamError as StreamError
    from stagebook.streaming.shape import step as step
    from stagebook.streaming.stream import stream as stream


def __getattr__(name: str) -> object:
    """What programs may use; imported when it is asked for, as the command needs nothing of it."""
    if name in ("step", "StreamError"):
        from stagebook.streaming import shape

        return getattr(shape, name)
    if name == "stream":
        from stagebook.streaming.stream import stream

        return stream
    raise AttributeError(f"module 'stagebook' has no attribute '{name}'")
