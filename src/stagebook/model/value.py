"""How a value is written: `class Name(NamedTuple)`, a tuple whose fields have names. Which values there are: elsewhere.

To a type checker this is `typing.NamedTuple` and nothing else. At run time it is the same class for a tenth of the
price: a run makes some fifty of them before its first stage, and importing `typing` alone takes longer than a stage.
Annotations are not looked into; whoever writes a class here needs `from __future__ import annotations`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    from collections import _tuplegetter as getter
    from collections import namedtuple

    class _Named(tuple):
        """What all values can do, under the names that `collections.namedtuple` gave it."""

        __slots__ = ()

        @classmethod
        def _make(cls, iterable):
            made = tuple.__new__(cls, iterable)
            if len(made) != len(cls._fields):
                raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
            return made

        def _replace(self, /, **fields):
            made = self._make(map(fields.pop, self._fields, self))
            if fields:
                raise TypeError(f"Got unexpected field names: {list(fields)!r}")
            return made

        def _asdict(self):
            return dict(zip(self._fields, self))

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(map('%s=%r'.__mod__, zip(self._fields, self)))})"

        def __getnewargs__(self):
            return tuple(self)

    class _Maker(type):
        """Makes the class out of its body, and is gone: the class is an ordinary one, of type `type`."""

        def __new__(cls, name, bases, body):
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body.pop(field) for field in fields if field in body}
            if tuple(defaults) != fields[len(fields) - len(defaults) :]:
                raise TypeError(f"{name}: a field without a default follows one that has a default")
            body.update((field, getter(number, "")) for number, field in enumerate(fields))
            body["__slots__"] = ()
            body["__match_args__"] = body["_fields"] = fields
            body["_field_defaults"] = defaults
            body["__new__"] = _new(f"{body['__qualname__']}.__new__", fields, tuple(defaults.values()))
            return type(name, (_Named,), body)

    new = tuple.__new__

    #: Number of fields: a function that makes tuples of so many, its arguments as yet without their names. Those of few
    #: fields are written down, so that they are compiled together with this module and not on each start.
    _patterns = {
        0: lambda _cls: new(_cls, ()),
        1: lambda _cls, a: new(_cls, (a,)),
        2: lambda _cls, a, b: new(_cls, (a, b)),
        3: lambda _cls, a, b, c: new(_cls, (a, b, c)),
        4: lambda _cls, a, b, c, d: new(_cls, (a, b, c, d)),
        5: lambda _cls, a, b, c, d, e: new(_cls, (a, b, c, d, e)),
        6: lambda _cls, a, b, c, d, e, f: new(_cls, (a, b, c, d, e, f)),
        7: lambda _cls, a, b, c, d, e, f, g: new(_cls, (a, b, c, d, e, f, g)),
        8: lambda _cls, a, b, c, d, e, f, g, h: new(_cls, (a, b, c, d, e, f, g, h)),
        9: lambda _cls, a, b, c, d, e, f, g, h, i: new(_cls, (a, b, c, d, e, f, g, h, i)),
    }

    def _new(name, fields, defaults):
        """`__new__` with these arguments."""
        pattern = _patterns.get(len(fields))
        if pattern is None:
            names = [f"field_{number}" for number in range(len(fields))]
            pattern = _patterns[len(fields)] = namedtuple("Many", names).__new__
        code = pattern.__code__.replace(co_name="__new__", co_qualname=name, co_varnames=("_cls", *fields))
        return type(pattern)(code, pattern.__globals__, "__new__", defaults)

    NamedTuple = type.__new__(_Maker, "NamedTuple", (), {})
