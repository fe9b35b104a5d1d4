"""``python -m tests.fuzz SECONDS``: any bytes on a connection, by atheris where it is installed.

An input that breaks a rule is written to tests/fuzz/found/, where the tests replay it ever after.
Exit code 0 when none was found, 1 with the input's name otherwise.
"""

import hashlib
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

FOUND = Path(__file__).parent / "found"
LONGEST = 600


def main(argv: list[str]) -> int:
    """Fuzz for so many seconds."""
    seconds = int(argv[1]) if len(argv) > 1 else 60
    try:
        import atheris  # noqa: F401 (whether it is there)
    except ImportError:
        return by_chance(seconds)
    return by_coverage(seconds)


def by_coverage(seconds: int) -> int:
    """Inputs that reach new code are kept and changed further."""
    import atheris

    with atheris.instrument_imports(include=["nbio.heads", "nbio.http1", "nbio.chunked"]):
        from tests.fuzz.target import check, seeds
    corpus = Path(tempfile.mkdtemp())
    began, count = time.monotonic(), 0

    def one(data: bytes) -> None:
        nonlocal count
        count += 1
        if time.monotonic() - began > seconds:
            report("atheris", count, seconds)
            shutil.rmtree(corpus)
            # Left to itself libFuzzer ends the process in its own way, by its own exit code.
            os._exit(0)
        try:
            check(data)
        except Exception as error:
            keep(data, error)
            shutil.rmtree(corpus)
            os._exit(1)

    for number, seed in enumerate([*seeds(), *(path.read_bytes() for path in found())]):
        (corpus / str(number)).write_bytes(seed)
    flags = [f"-max_len={LONGEST}", "-verbosity=0", f"-artifact_prefix={corpus}/"]
    atheris.Setup(["fuzz", str(corpus), *flags], one)
    atheris.Fuzz()
    return 1


def by_chance(seconds: int) -> int:
    """The seeds, changed at random."""
    from tests.fuzz.target import check, seeds

    chance = random.Random(time.time_ns())
    pool = seeds()
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        data = mutated(chance, chance.choice(pool), chance.choice(pool))
        count += 1
        try:
            check(data)
        except Exception as error:
            keep(data, error)
            return 1
    report("changed at random", count, seconds)
    return 0


def mutated(chance: random.Random, data: bytes, other: bytes) -> bytes:
    """Octets changed, taken away, doubled, or exchanged for a part of another input."""
    out = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(out) + 1)
        end = min(len(out), at + chance.randrange(1, 8))
        kind = chance.randrange(4)
        if kind == 0 and at < len(out):
            out[at] = chance.choice(b"\r\n\0 \t:;,0aZ/%\x7f\x80")
        elif kind == 1:
            del out[at:end]
        elif kind == 2:
            out[at:at] = out[at:end]
        else:
            start = chance.randrange(len(other))
            out[at:end] = other[start : start + chance.randrange(1, 40)]
    return bytes(out[:LONGEST])


def found() -> list[Path]:
    """The inputs that broke a rule once."""
    return sorted(FOUND.glob("*.bin"))


def keep(data: bytes, error: Exception) -> None:
    """Keep an input that breaks a rule."""
    path = FOUND / f"{hashlib.sha256(data).hexdigest()[:12]}.bin"
    path.write_bytes(data)
    print(f"found: {path.name}: {type(error).__name__}: {error}", flush=True)


def report(how: str, count: int, seconds: int) -> None:
    print(f"fuzz: {count} inputs by {how} in {seconds} s, none breaks a rule", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
