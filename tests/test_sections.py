"""Every function that takes a pool's lock is registered, so that finalizers know of it."""

import ast
import importlib
import importlib.abc

FILES = ["handle", "pool", "leaks", "body", "views"]


def parsed(name: str) -> ast.Module:
    """The source that was imported, which is not the file's when a mutant stands for it."""
    spec = importlib.import_module(f"nbio.{name}").__spec__
    assert spec is not None
    assert isinstance(spec.loader, importlib.abc.InspectLoader)
    return ast.parse(spec.loader.get_source(spec.name) or "")


def takes_lock(node: ast.AST) -> bool:
    return isinstance(node, ast.With) and any(
        isinstance(item.context_expr, ast.Attribute) and item.context_expr.attr in ("lock", "_lock")
        for item in node.items
    )


def test_every_function_that_takes_the_lock_is_a_section() -> None:
    found = 0
    for name in FILES:
        for node in ast.walk(parsed(name)):
            if isinstance(node, ast.FunctionDef) and any(map(takes_lock, ast.walk(node))):
                found += 1
                marks = [d.id for d in node.decorator_list if isinstance(d, ast.Name)]
                assert "section" in marks, f"{name}: {node.name} takes the lock unregistered"
    assert found >= 14


def test_the_lifecycle_is_applied_nowhere_else() -> None:
    """Lifecycle variables are stored only where a transition function's result is unpacked."""
    fields = {"state", "generation", "leased", "waiting", "ended", "failed", "detached", "held"}
    for name in FILES:
        for node in ast.walk(parsed(name)):
            if not isinstance(node, ast.Assign) or isinstance(node.targets[0], ast.Tuple):
                continue
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr in fields | {"paused"}:
                    owner = ast.unparse(target.value)
                    assert owner != "slot", f"{name}:{node.lineno} stores {target.attr} itself"
