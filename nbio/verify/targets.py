"""From ``my_model.py:Name`` to a model: what a file offers, and building it at given constants.

A file may run any code while it is imported, so whatever it raises (``SystemExit`` too, which would
otherwise read as a pass) becomes one :class:`TargetError` that names the file and the line.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Final

from nbio.verify.expr import ModelError
from nbio.verify.spec import Model

Constants = Mapping[str, int]
_HERE: Final = str(Path(__file__).parent)
_LIBRARY: Final = str(Path(importlib.__file__).parent.parent)


class TargetError(Exception):
    """A model can't be found or built; the message is one line that names the file."""


@dataclass(frozen=True)
class Offer:
    """Something in a file that is a model, or makes one."""

    name: str
    made: Model | FunctionType

    @property
    def constants(self) -> dict[str, int | None]:
        """What ``--set`` may name, with defaults; None where there is none."""
        if isinstance(self.made, Model):
            return {}
        found = inspect.signature(self.made).parameters.values()
        return {p.name: _default(p) for p in found if _is_constant(p)}

    def build(self, constants: Constants) -> Model:
        """The model at these constants; TargetError names one that is unknown or missing."""
        known = self.constants
        for name in constants:
            if name not in known:
                takes = ", ".join(known) or "none (only a function that returns a Model takes any)"
                raise TargetError(f"{self.name} has no constant {name!r}; it takes: {takes}")
        for name, default in known.items():
            if default is None and name not in constants:
                raise TargetError(f"{self.name} needs --set {name}=N: it has no default")
            if isinstance(default, bool) and constants.get(name, 0) not in (0, 1):
                raise TargetError(f"{self.name}: {name} is yes or no: --set {name}=1 or {name}=0")
        if isinstance(self.made, Model):
            return self.made
        given = {k: bool(v) if isinstance(known[k], bool) else v for k, v in constants.items()}
        model: object = self.made(**given)
        if not isinstance(model, Model):
            raise TargetError(f"{self.name}() returned {type(model).__name__}, not a Model")
        return model


def _default(parameter: inspect.Parameter) -> int | None:
    default: object = parameter.default
    return default if isinstance(default, int) else None


def _is_constant(parameter: inspect.Parameter) -> bool:
    if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_KEYWORD):
        return False
    missing = parameter.default is inspect.Parameter.empty
    return isinstance(parameter.default, int) or (missing and parameter.annotation in (int, "int"))


@dataclass(frozen=True)
class Target:
    """``my_model.py``, ``package.module``, or either with ``:Name``."""

    source: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """Split at the last colon."""
        source, colon, name = text.rpartition(":")
        return cls(source, name) if colon else cls(name, "")

    @property
    def path(self) -> Path | None:
        """The file, where a file is meant."""
        is_file = self.source.endswith(".py") or "/" in self.source
        return Path(self.source) if is_file else None

    def build(self, constants: Constants) -> tuple[Model, str]:
        """The model, and the full name of the target it came from."""
        with self._blamed():
            offer = self._chosen(offers(self._load()))
            return offer.build(constants), f"{self.source}:{offer.name}"

    def offers(self) -> list[Offer]:
        """Everything in the file that is a model or says that it returns one."""
        with self._blamed():
            return offers(self._load())

    def _chosen(self, found: Sequence[Offer]) -> Offer:
        if self.name:
            return self._named(found)
        if len(found) == 1:
            return found[0]
        if not found:
            raise TargetError(
                f"{self.source} holds no Model and no function annotated as returning one"
            )
        names = ", ".join(f"{self.source}:{o.name}" for o in found)
        raise TargetError(f"{self.source} holds {len(found)} models, choose one of: {names}")

    def _named(self, found: Sequence[Offer]) -> Offer:
        for offer in found:
            if offer.name == self.name:
                return offer
        # A function without annotations is no offer, but may be asked for by name.
        value: object = getattr(self._load(), self.name, None)
        if isinstance(value, FunctionType | Model):
            return Offer(self.name, value)
        names = ", ".join(o.name for o in found) or "nothing"
        raise TargetError(f"{self.source} has no model {self.name!r}; it offers: {names}")

    def _load(self) -> ModuleType:
        # What a model prints must not get into a report on standard output.
        with contextlib.redirect_stdout(sys.stderr):
            if self.path is not None:
                return _load_file(self.path)
            named = all(map(str.isidentifier, self.source.split(".")))
            if not named or Path(self.source).is_file():
                raise TargetError(f"{self.source or 'nothing'} is no Python file and no module")
            if "" not in sys.path and str(Path.cwd()) not in sys.path:
                sys.path.insert(0, str(Path.cwd()))
            return importlib.import_module(self.source)

    @contextlib.contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except (TargetError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise TargetError(blame(self.source, error)) from error


def _load_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise TargetError(f"{path.name}: there is no such file in {path.parent}")
    root, dotted = path.parent, path.stem
    while (root / "__init__.py").is_file():
        root, dotted = root.parent, f"{root.name}.{dotted}"
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    if "." in dotted:
        return importlib.import_module(dotted)
    return _load_alone(path)


def _load_alone(path: Path) -> ModuleType:
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    # A model called queue.py must not hide the standard library's.
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names
    name = f"model_in_{path.stem}" if taken else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{path} is not a Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def offers(module: ModuleType) -> list[Offer]:
    """A module's models, and its functions that are annotated as returning one."""
    found: dict[int, Offer] = {}
    for name, value in vars(module).items():
        here = isinstance(value, FunctionType) and value.__module__ == module.__name__
        if name.startswith("_"):
            continue
        if isinstance(value, Model) or (here and _makes_a_model(value)):
            found.setdefault(id(value), Offer(name, value))
    return list(found.values())


def _makes_a_model(function: FunctionType) -> bool:
    signature = inspect.signature(function)
    said: object = signature.return_annotation
    returns = said is Model or (isinstance(said, str) and said.rpartition(".")[2] == "Model")
    return returns and all(
        _is_constant(p) or p.default is not inspect.Parameter.empty
        for p in signature.parameters.values()
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    )


def blame(source: str, error: BaseException) -> str:
    """One line: the file, the line that raised, the error. Model errors name their place."""
    said = " ".join(str(error).split())
    if isinstance(error, ModelError):
        return said if source in said else f"{source}: {said}"
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {kind}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    # The library raises what the model asked for: the line that asked is the author's.
    own = [f for f in frames if not f.filename.startswith((_HERE, _LIBRARY, "<frozen"))]
    place = f"{own[-1].filename}:{own[-1].lineno}" if own else source
    return f"{place}: {kind}: {said}" if said else f"{place}: {kind}"
