"""The compiled variant of nbio: the server's inner part, made machine code by mypyc.

    NBIO_COMPILE=1 pip install .          # a wheel for this platform; without it, the pure one
    python hatch_build.py build/compiled  # the package beside the source, as `make compiled` does

mypyc compiles the typed source as it is. What stays interpreted: errors (they inherit from
Python's), what looks at frames, async generators, and all that no request passes through.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES: Final = (
    *("_lifecycle", "waiters", "leaks", "blocks", "pool", "handle", "body", "views"),
    *("targets", "heads", "chunked", "http1", "responses", "verdicts"),
    *("exchange", "native", "asgi", "inlining", "threaded", "outlet", "workers", "wsgi", "peers"),
    *("hub", "sending", "ending", "protocol", "observing"),
    *("websocket", "websocket_frames", "websocket_plain"),
)
"""What is compiled, all in one group: calls between them are calls between C functions."""

REQUIRED: Final = ["mypy>=1.19", "setuptools>=65", "httptools>=0.6.4", "websockets>=13"]
"""What compiling needs besides a C compiler."""

SCRIPT: Final = """
import sys
from pathlib import Path
from setuptools import setup  # first: it brings distutils, which Python has no more from 3.12 on
from mypyc.build import mypycify
sys.argv = ["", "-q", "build_ext", "--inplace"]
version = "%d.%d" % sys.version_info[:2]
flags = ["--config-file=", "--ignore-missing-imports", "--python-version=" + version]
how = dict(opt_level="3", debug_level="0", group_name="nbio", target_dir="c")
modules = mypycify([*flags, *FILES], **how)
made = Path("c/__native_nbio.c")
untracked = "PyObject_GC_UnTrack(self);"
text = made.read_text()
assert untracked in text, "mypyc deallocates in another way now"
cleared = "if (Py_TYPE(self)->tp_weaklistoffset) PyObject_ClearWeakRefs((PyObject *)self);"
made.write_text(text.replace(untracked, untracked + cleared))
setup(name="nbio", packages=["nbio"], ext_modules=modules)
"""
"""What mypyc leaves out is put in: an object that can be weakly referred to, as one of a class with
a Python base can, tells its references when it dies. Else they would show freed memory."""


def compile_into(root: Path, target: Path) -> list[Path]:
    """Put the package, source and machine code, into a folder; return the latter's files.

    Raises CalledProcessError where mypyc or the C compiler refuse.
    """
    ignore = shutil.ignore_patterns("__pycache__", "*.so")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        package = work / "nbio"
        shutil.copytree(root / "nbio", package, ignore=ignore)
        for module in MODULES:
            file = package / f"{module}.py"
            # A decorator makes a method one that can't be called directly; and a compiled
            # function has no code object to be registered, as nbio/sections.py says.
            file.write_text(file.read_text().replace("    @section\n", "    # @section\n"))
        files = [f"nbio/{module}.py" for module in MODULES]
        script = SCRIPT.replace("FILES", repr(files))
        subprocess.run([sys.executable, "-c", script], cwd=work, check=True)
        made = [*work.glob("*.so"), *package.glob("*.so")]
        shutil.rmtree(target / "nbio", ignore_errors=True)
        shutil.copytree(root / "nbio", target / "nbio", ignore=ignore)
        for file in made:
            shutil.copy(file, target / file.relative_to(work))
    return [target / file.relative_to(work) for file in made]


class Compiled(BuildHookInterface[Any]):
    """Puts the machine code into the wheel where NBIO_COMPILE asks for it."""

    def _wanted(self) -> bool:
        return os.environ.get("NBIO_COMPILE") == "1" and self.target_name == "wheel"

    def dependencies(self) -> list[str]:
        """What the build environment must have."""
        return REQUIRED if self._wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is made. An editable one is the source's."""
        if not self._wanted() or version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory()
        target = Path(self._folder.name)
        for file in compile_into(Path(self.root), target):
            build_data["force_include"][str(file)] = str(file.relative_to(target))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


if __name__ == "__main__":
    compile_into(Path(__file__).parent, Path(sys.argv[1]))
