"""Run the source although there is a compiled nbio beside it: `NBIO_PURE=1` in the environment."""

import sys
from collections.abc import Sequence
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType


class Sources:
    """Finds this package's modules, and of each only the source."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As importlib's finders."""
        if not name.startswith("nbio."):
            return None
        for place in path or ():
            spec = FileFinder(place, (SourceFileLoader, [".py"])).find_spec(name, target)
            if spec is not None:
                return spec
        return None


def prefer_sources() -> None:
    """Find the sources first, from now on."""
    sys.meta_path.insert(0, Sources())
