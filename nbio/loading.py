"""Which application: from "module:app" to an object, and from an object to its interface."""

import importlib
import inspect
import sys
from typing import Any, Final

from nbio.asgi import AsgiSite
from nbio.config import Config, Interface
from nbio.errors import NbioError
from nbio.inlining import InlineHandler, InlineSite
from nbio.native import NativeSite, is_async
from nbio.threaded import ThreadedSite
from nbio.wsgi import WsgiSite

INTERFACES: Final[dict[int, Interface]] = {3: "asgi", 2: "wsgi", 1: "native"}
"""Interfaces by the number of arguments that an application takes."""


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


def made(factory: Any) -> Any:
    """What a factory makes. Raises AppError when it can't be called."""
    if not callable(factory):
        raise AppError(f"the factory isn't callable, but {type(factory).__name__}")
    try:
        return factory()
    except Exception as error:
        text = " ".join(str(error).split())
        raise AppError(f"the factory failed: {type(error).__name__}: {text}") from error


def site_for(app: Any, config: Config) -> AsgiSite | NativeSite | WsgiSite:
    """Wrap an application by the interface it speaks. Raises AppError for one that is none."""
    if not callable(app):
        raise AppError(f"the application isn't callable, but {type(app).__name__}")
    interface = config.interface
    if interface == "auto":
        interface = INTERFACES[arity(app)]
    if interface == "asgi":
        return AsgiSite(app, config)
    if interface == "wsgi":
        site = WsgiSite(app, config.root_path, config.threads, config.workers)
        site.base["wsgi.multiprocess"] = config.workers > 1
        return site
    if isinstance(app, InlineHandler):
        return InlineSite(app, config.threads)
    return (NativeSite if is_async(app) else ThreadedSite)(app, config.threads)


def arity(app: Any) -> int:
    """How many positional arguments the application needs: one of those in INTERFACES.

    Raises AppError for other numbers.
    """
    if isinstance(app, InlineHandler):
        # A compiled one has no signature.
        return 1
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        raise AppError("the application has no signature: say --interface") from None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = sum(p.kind in positional and p.default is p.empty for p in parameters)
    if needed in INTERFACES:
        return needed
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return 3
    raise AppError(
        "an application takes (scope, receive, send), (environ, start_response) or (request), "
        f"this one {needed} arguments: say --interface if it does after all"
    )
