"""Names, types and comments of a Promela text."""

from __future__ import annotations

import itertools
import re
from typing import Final

from nbio.verify.expr import BoolExpr, Expr, ModelError
from nbio.verify.spec import Model, Variable

_TYPES: Final = (
    ("byte", 0, (1 << 8) - 1),
    ("short", -(1 << 15), (1 << 15) - 1),
    ("int", -(1 << 31), (1 << 31) - 1),
)


def names_for(model: Model) -> dict[str, str]:
    """A Promela name for each variable; the prefix keeps clear of Promela's and C's own words."""
    names: dict[str, str] = {}
    for name in model.variables:
        plain = "v_" + re.sub(r"\W", "_", name, flags=re.ASCII)
        taken = set(names.values())
        candidates = itertools.chain([plain], (f"{plain}_{n}" for n in itertools.count(2)))
        names[name] = next(c for c in candidates if c not in taken)
    return names


def is_chosen(v: Variable) -> bool:
    """Whether no declaration can give the start values: a list of constants knows no minus."""
    first = {c[0] for c in v.init}
    return len(first) > 1 and min(first) < 0


def type_of(v: Variable | Expr, name: str) -> str:
    """The narrowest Promela type; ModelError where it takes more than 32 bits."""
    if v.truth if isinstance(v, Variable) else isinstance(v, BoolExpr):
        return "bool"
    for kind, low, high in _TYPES:
        if low <= v.lo and v.hi <= high:
            return kind
    raise ModelError(f"{name} may leave the 32 bits of a Promela int: {v.lo}..{v.hi}")


def in_comment(text: str) -> str:
    """Text that may stand in a comment."""
    return " ".join(text.split()).replace("*/", "* /")


def heading(model: Model, command: str) -> list[str]:
    """What the text is, where it comes from, and how to run it."""
    constants = " ".join(f"{k}={v}" for k, v in model.constants.items())
    left_out = [p.name for p in model.properties if p.kind == "leads_to"]
    told = [
        f"{model.name} {constants}".strip(),
        *([f"exported by: {command}"] if command else []),
        "spin -a model.pml; gcc -O2 -DSAFETY -DBFS -DNOREDUCE -o pan pan.c; ./pan -c0 -E",
        *([f"not exported: leads_to {', '.join(left_out)}"] if left_out else []),
    ]
    return [f"/* {in_comment(line)} */" for line in told]
