"""Every model of the project by name, built at given constants.

A historic design's name stands for configuration A; ``G2-J`` is G2 in configuration J. Either takes
any of :class:`~model.history.script.Bounds` by ``--set``.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial

from model.connection import connection
from model.final import final
from model.grain import memory
from model.history import BEYOND, CONFIGURATIONS, DESIGNS, historic
from model.live import live
from nbio.verify.expr import ModelError
from nbio.verify.spec import Model, Property

Factory = Callable[..., Model]


def _historic() -> dict[str, Factory]:
    found: dict[str, Factory] = {}
    for name, design in DESIGNS.items():
        found[name] = partial(historic, design)
        for configuration, (_, constants) in CONFIGURATIONS.items():
            found[f"{name}-{configuration}"] = partial(historic, design, **constants)
    found |= {n: partial(historic, design, **c) for n, (design, c) in BEYOND.items()}
    return found


MODELS: dict[str, Factory] = {
    **_historic(),
    "final": final,
    "final-connection": connection,
    "final-live": live,
    "final-memory": memory,
}
"""Name -> factory; its integer keyword parameters are the constants that can be set."""

SAID = (
    f"{', '.join(DESIGNS)} (each also with {', '.join('-' + c for c in CONFIGURATIONS)}); "
    f"{', '.join(n for n in MODELS if n.partition('-')[0] not in DESIGNS)}"
)
"""The names as a person would list them."""


def constants_of(factory: Factory) -> dict[str, int]:
    """The constants that a factory takes, with their defaults."""
    found = inspect.signature(factory).parameters.values()
    return {p.name: p.default for p in found if isinstance(p.default, int)}


def module_of(name: str) -> str:
    """The module that a model's factory is defined in."""
    factory = MODELS[name]
    inner: object = factory.func if isinstance(factory, partial) else factory
    return str(getattr(inner, "__module__", ""))


def build(name: str, constants: Mapping[str, int]) -> Model:
    """The named model at the given constants; ModelError names what is unknown."""
    factory = MODELS.get(name)
    if factory is None:
        raise ModelError(f"there is no model {name!r}; there are: {SAID}")
    known = constants_of(factory)
    for constant in constants:
        if constant not in known:
            raise ModelError(f"{name} has no constant {constant!r}; it has: {', '.join(known)}")
    model = factory(**constants)
    model.properties.sort(key=_in_reading_order)
    return model


def _in_reading_order(prop: Property) -> tuple[bool, bool, str, int]:
    """P1 to P12 first, as every design is judged by them; what must happen last."""
    letters = prop.name.rstrip("0123456789")
    number = prop.name[len(letters) :]
    return prop.kind == "sometimes", letters != "P", letters, int(number or 0)
