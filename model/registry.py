"""Every model of the project by name, built at given constants."""

import inspect
from collections.abc import Callable, Mapping

from model.final import final
from model.historic import f1, v1_5_11
from nbio.verify.expr import ModelError
from nbio.verify.spec import Model, Property

Factory = Callable[..., Model]

MODELS: dict[str, Factory] = {"v1.5.11": v1_5_11, "F1": f1, "final": final}
"""Name -> factory; its integer keyword parameters are the constants that can be set."""


def constants_of(factory: Factory) -> dict[str, int]:
    """The constants that a factory takes, with their defaults."""
    found = inspect.signature(factory).parameters.values()
    return {p.name: p.default for p in found if isinstance(p.default, int)}


def build(name: str, constants: Mapping[str, int]) -> Model:
    """The named model at the given constants; ModelError names what is unknown."""
    factory = MODELS.get(name)
    if factory is None:
        raise ModelError(f"there is no model {name!r}; there are: {', '.join(sorted(MODELS))}")
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
