"""A model checker for pool lifecycles and other small concurrent protocols, in plain Python.

    from nbio.verify import Model, Step, check

A :class:`Model` has variables, parameterised actions and properties; :func:`check` visits every
reachable state and says, for each property, CONFIRMED, REFUTED (with a shortest counterexample) or
UNKNOWN. :mod:`nbio.verify.replay` walks a counterexample on real threads and tasks. A
:class:`Machine` states one object's lifecycle as a decision table, to be woven into a model and
emitted as Python. Needs NumPy: ``pip install nbio[verify]``; code that is only marked for a replay
runs without.
"""

import importlib.util
from typing import NoReturn

if importlib.util.find_spec("numpy") is not None:
    from nbio.verify.check import PropertyResult, Report, check, check_on
    from nbio.verify.collections import ArrayOf, Bag, Queue, SetOf, member
    from nbio.verify.crew import WorkerLostError, dask_executors
    from nbio.verify.emit import emit_machine
    from nbio.verify.engine import Bounds, Exploration, Progress, Search, Verdict
    from nbio.verify.expr import (
        BoolExpr,
        BoolLike,
        IntExpr,
        IntLike,
        ModelError,
        all_of,
        any_of,
        implies,
        ite,
        maximum,
        minimum,
    )
    from nbio.verify.machine import Applied, Event, Machine, Rule
    from nbio.verify.outputs import assert_confirmed
    from nbio.verify.program import Program, State
    from nbio.verify.quantifiers import greatest_of, least_of, lookup, total
    from nbio.verify.report import render
    from nbio.verify.runs import Trace, TraceStep, rerun, shortest_trace
    from nbio.verify.spec import (
        BoolArray,
        Index,
        IntArray,
        Model,
        Step,
        count,
        exists,
        forall,
        sum_of,
    )
else:

    def __getattr__(name: str) -> NoReturn:
        if name in __all__:
            raise ModuleNotFoundError("nbio.verify needs NumPy: pip install 'nbio[verify]'")
        raise AttributeError(f"module 'nbio.verify' has no attribute {name!r}")


__all__ = [
    "Applied",
    "ArrayOf",
    "Bag",
    "BoolArray",
    "BoolExpr",
    "BoolLike",
    "Bounds",
    "Event",
    "Exploration",
    "Index",
    "IntArray",
    "IntExpr",
    "IntLike",
    "Machine",
    "Model",
    "ModelError",
    "Program",
    "Progress",
    "PropertyResult",
    "Queue",
    "Report",
    "Rule",
    "Search",
    "SetOf",
    "State",
    "Step",
    "Trace",
    "TraceStep",
    "Verdict",
    "WorkerLostError",
    "all_of",
    "any_of",
    "assert_confirmed",
    "check",
    "check_on",
    "count",
    "dask_executors",
    "emit_machine",
    "exists",
    "forall",
    "greatest_of",
    "implies",
    "ite",
    "least_of",
    "lookup",
    "maximum",
    "member",
    "minimum",
    "render",
    "rerun",
    "shortest_trace",
    "sum_of",
    "total",
]
