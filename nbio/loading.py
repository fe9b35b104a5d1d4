"""Which application: from "module:app" to an object, and from an object to its interface."""

import importlib
import inspect
import sys
from typing import Any

from nbio.asgi import AsgiSite
from nbio.config import Config
from nbio.errors import NbioError
from nbio.native import NativeSite


class AppError(NbioError):
    """There is no such application, or it isn't one."""


def load(reference: str, app_dir: str | None = None) -> Any:
    """Import "module:attribute". Raises AppError, whose text is one line."""
    module_name, colon, path = reference.partition(":")
    if not module_name or not colon or not path:
        raise AppError(f"{reference!r} names no application: write module:app")
    if app_dir is not None and app_dir not in sys.path:
        sys.path.insert(0, app_dir)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise AppError(f"there is no module {error.name!r} to import") from None
        raise AppError(f"importing {module_name!r} failed: {error}") from error
    except Exception as error:
        text = " ".join(str(error).split())
        raise AppError(
            f"importing {module_name!r} failed: {type(error).__name__}: {text}"
        ) from error
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise AppError(f"module {module_name!r} has no attribute {path!r}") from None
    return found


def site_for(app: Any, config: Config) -> AsgiSite | NativeSite:
    """Wrap an application by the interface it speaks. Raises AppError for one that is none."""
    if not callable(app):
        raise AppError(f"the application isn't callable, but {type(app).__name__}")
    interface = config.interface
    if interface == "auto":
        interface = "asgi" if arity(app) == 3 else "native"
    if interface == "asgi":
        return AsgiSite(app, config.root_path)
    return NativeSite(app, config.threads)


def arity(app: Any) -> int:
    """How many positional arguments the application needs: 3 is ASGI, 1 is native.

    Raises AppError for other numbers.
    """
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        raise AppError("the application has no signature: say --interface") from None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = sum(p.kind in positional and p.default is p.empty for p in parameters)
    if needed in (1, 3):
        return needed
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return 3
    raise AppError(
        f"an application takes (scope, receive, send) or (request), this one {needed} arguments: "
        "say --interface if it does after all"
    )
