"""Dataclasses without generated code: a small device pays a millisecond for each that `dataclasses` makes.

`dataclass`, `field` and `replace` have the meaning of those of `dataclasses`, for what is used here: `frozen`, `eq`,
`kw_only`, defaults, `default_factory`, `__post_init__` and inheritance. Methods are shared by all classes and look
fields up by name, so that nothing is compiled when a module is loaded. `dataclasses.fields`, `replace` and `asdict`
work on these classes, which are described to them when they look first.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import fields as fields
    from dataclasses import replace as replace
else:
    _ABSENT = object()

    class _Factory:
        """Makes the default of a field anew for each instance."""

        def __init__(self, make):
            self.make = make

    def field(*, default_factory):
        """Return the declaration of a field whose default is made anew."""
        return _Factory(default_factory)

    def dataclass(cls=None, /, *, frozen=False, eq=True, kw_only=False):
        """Turn annotations of a class into fields."""
        if cls is None:
            return lambda one: dataclass(one, frozen=frozen, eq=eq, kw_only=kw_only)
        _declare(cls, kw_only=kw_only)
        new = {"__init__": _init, "__repr__": _repr}
        if eq:
            new["__eq__"] = _eq
        if frozen:
            new |= {"__setattr__": _refuse_set, "__delattr__": _refuse_delete}
        for name, method in new.items():
            if name not in cls.__dict__:
                setattr(cls, name, method)
        if eq and cls.__dict__.get("__hash__") is None:  # a class with __eq__ alone has None
            cls.__hash__ = _hash if frozen else None
        cls.__dataclass_fields__ = _Described("__dataclass_fields__", frozen=frozen, eq=eq, kw_only=kw_only)
        cls.__dataclass_params__ = _Described("__dataclass_params__", frozen=frozen, eq=eq, kw_only=kw_only)
        cls.__signature__ = _Described("__signature__", frozen=frozen, eq=eq, kw_only=kw_only)
        return cls

    def _declare(cls, *, kw_only):
        """Note the fields of a class, those of its bases first, and their defaults."""
        names, defaults, types = {}, {}, {}
        for base in reversed(cls.__mro__[1:]):
            if "__edgecl_fields__" in base.__dict__:
                inherited, base_defaults, base_types = base.__dict__["__edgecl_fields__"]
                names |= inherited
                defaults |= base_defaults
                types |= base_types
        own = {name: kind for name, kind in cls.__annotations__.items() if not str(kind).startswith("ClassVar")}
        names |= dict.fromkeys(own, kw_only)
        types |= own
        for name in own:
            default = cls.__dict__.get(name, _ABSENT)
            if default is not _ABSENT:
                defaults[name] = default
            if isinstance(default, _Factory):
                delattr(cls, name)
        cls.__edgecl_fields__ = names, defaults, types
        cls.__match_args__ = tuple(name for name, is_by_name in names.items() if not is_by_name)

    def _init(self, *args, **kwargs):
        cls = type(self)
        names, defaults, _ = cls.__edgecl_fields__
        held = self.__dict__
        if args:
            places = cls.__match_args__
            if len(args) > len(places):
                raise TypeError(f"{cls.__name__} takes {len(places)} values by place, {len(args)} were given")
            held.update(zip(places, args, strict=False))
            if not kwargs.keys().isdisjoint(held):
                raise TypeError(f"{cls.__name__} got multiple values for {', '.join(kwargs.keys() & held.keys())}")
        if not kwargs.keys() <= names.keys():
            unknown = ", ".join(map(repr, kwargs.keys() - names.keys()))
            raise TypeError(f"{cls.__name__} got an unexpected keyword argument {unknown}")
        held.update(kwargs)
        if len(held) < len(names):
            _fill(cls.__name__, held, names, defaults)
        post = getattr(self, "__post_init__", None)
        if post is not None:
            post()

    def _fill(title, held, names, defaults):
        lacking = [name for name in names if name not in held and name not in defaults]
        if lacking:
            raise TypeError(f"{title} is missing required arguments: {', '.join(map(repr, lacking))}")
        for name, default in defaults.items():
            if name not in held:
                held[name] = default.make() if isinstance(default, _Factory) else default

    def _values(one):
        return tuple([getattr(one, name) for name in one.__edgecl_fields__[0]])

    def _repr(self):
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__edgecl_fields__[0])
        return f"{type(self).__qualname__}({shown})"

    def _eq(self, other):
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def _hash(self):
        return hash(_values(self))

    def _refuse_set(self, name, value):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _refuse_delete(self, name):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def replace(one, /, **changes):
        """Return an instance of the same class with some fields changed; also of a class of `dataclasses`."""
        cls = type(one)
        if "__edgecl_fields__" not in cls.__dict__:
            import dataclasses

            return dataclasses.replace(one, **changes)
        return cls(**{name: getattr(one, name) for name in cls.__edgecl_fields__[0]} | changes)

    def fields(one, /):
        """Return the fields of a class or an instance, each with its `name` and `type`."""
        described = getattr(one, "__edgecl_fields__", None)
        if described is None:
            import dataclasses

            return dataclasses.fields(one)
        names, _, types = described
        return tuple(SimpleNamespace(name=name, type=types[name]) for name in names)

    class _Described:
        """What `dataclasses` and `inspect` want to know of a class, found when they look first."""

        def __init__(self, name, **params):
            self.name, self.params = name, params

        def __get__(self, instance, cls):
            shown = _shadow(cls, self.params)
            for name, value in shown.items():
                setattr(cls, name, value)
            return shown[self.name]

    def _shadow(cls, params):
        """Return what a class of `dataclasses` with the same fields says of itself."""
        import dataclasses
        import inspect

        names, defaults, types = cls.__edgecl_fields__
        fields = []
        for name, by_name in names.items():
            default = defaults.get(name, dataclasses.MISSING)
            if isinstance(default, _Factory):
                made = dataclasses.field(default_factory=default.make, kw_only=by_name)
            else:
                made = dataclasses.field(default=default, kw_only=by_name)
            fields.append((name, types[name], made))
        like = dataclasses.make_dataclass(cls.__name__, fields, frozen=params["frozen"], eq=params["eq"])
        return {
            "__dataclass_fields__": like.__dataclass_fields__,
            "__dataclass_params__": like.__dataclass_params__,
            "__signature__": inspect.signature(like),
        }
