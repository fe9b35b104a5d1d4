"""Every model of the project by name, built at given constants."""

import inspect
from collections.abc import Callable, Mapping

from model.final import final
from model.historic import f1, v1_5_11
from nbio.verify.expr import ModelError
from nbio.verify.spec import Model

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
    return factory(**constants)
