"""The checker's command line: targets, exit codes, and that no failure can read as a pass."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbio.verify import Model, Verdict, rerun
from nbio.verify.cli import _bytes, main
from nbio.verify.simulate import simulate
from nbio.verify.targets import Target

ROOT = Path(__file__).resolve().parents[2]
COUNTER = """
from nbio.verify import IntExpr, Model, Step

def counter(procs: int = 2, top: int = 3, strict: bool = False) -> Model:
    m = Model("counter", constants={"procs": procs, "top": top})
    proc = m.index("proc", procs)
    at = m.integers("at", over=proc, lo=0, hi=top)

    @m.action(p=proc, actor="process {p}")
    def step(do: Step, p: IntExpr) -> None:
        do.when(at[p] < top)
        do.set(at[p], at[p] + 1)

    m.always("bounded", at[0] + at[1] <= (2 if strict else 4), because="four is enough")
    m.always("positive", at[0] >= 0, because="it only counts up")
    m.sometimes("end", at[0] == top, because="it gets there")
    m.done((at[0] == top) & (at[1] == top))
    return m
"""
LARGE = COUNTER.replace("procs: int = 2, top: int = 3", "procs: int = 6, top: int = 40").replace(
    "<= (2 if strict else 4)", "<= 80"
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test in a directory of its own; what it imports from there is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def process(*args: str, code: int) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "nbio.verify", *args], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    return done


# -------------------------------------------------------------------------- exit codes


def test_confirmed_refuted_and_unknown_have_their_own_codes(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(elsewhere / "m.py", COUNTER)
    assert main(["check", "m.py", "--set", "top=2"]) == 0
    assert "counter: CONFIRMED (no violation within these bounds: procs=2 top=2)" in (
        capsys.readouterr().out
    )
    assert main(["check", "m.py"]) == 1
    out = capsys.readouterr().out
    assert "NO always bounded [5 steps]" in out
    assert out.endswith("replay: python -m nbio.verify check m.py:counter\n")
    assert main(["check", "m.py", "--states", "3"]) == 3
    assert "UNKNOWN" in capsys.readouterr().out


def test_as_a_process(elsewhere: Path) -> None:
    write(elsewhere / "m.py", COUNTER)
    assert process("check", "m.py", "--set", "top=1", code=0).stderr == ""
    process("check", "m.py", "--set", "strict=1", code=1)
    assert "usage:" in process("check", code=2).stderr


def test_many_cells_are_no_recursion_error(elsewhere: Path) -> None:
    many = COUNTER.replace("at[0] >= 0", "(at[n] >= 0) & (full.size >= 0)").replace(
        "    @m.action",
        "    full, n = m.set('full', proc), m.integer('n', 0, procs - 1)\n\n    @m.action",
    )
    write(elsewhere / "m.py", many)
    process("check", "m.py", "--set", "procs=1200", "--states", "9", code=3)


def test_a_check_loads_nothing_that_is_slow_to_load(elsewhere: Path) -> None:
    """Measured, not asserted: 0.25 s from the shell, 0.14 s of it NumPy's import."""
    write(elsewhere / "m.py", COUNTER)
    code = "import sys; from nbio.verify.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", code, "check", "m.py", "--set", "top=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "nbio.verify.cli" in loaded
    assert not loaded & {"scipy", "rich", "z3", "xml.etree", "nbio.server", "nbio.verify.simulate"}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--set", "top"], "takes NAME=N"),
        (["--set", "top=x"], "takes a whole number, not 'x'"),
        (["--memory", "8X"], "takes a size such as 8G"),
        (["--memory", "0"], "takes a size such as 8G"),
        (["--seconds", "nan"], "takes a number of seconds"),
        (["--workers", "0"], "takes a whole number of at least 1"),
        (["--states", "-1"], "takes a whole number of at least 0"),
        (["--format", "yaml"], "invalid choice"),
    ],
)
def test_misused_options(option: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["check", "m.py", *option])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_sizes() -> None:
    sizes = {"8G": 8 << 30, "512M": 512 << 20, "1.5GiB": 3 << 29, "4kb": 4096, "100": 100}
    assert {text: _bytes(text) for text in sizes} == sizes


def test_memory_ends_in_unknown(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(elsewhere / "m.py", LARGE)
    assert main(["check", "m.py", "--memory", "4M"]) == 3
    assert "bytes of memory; what was not refuted is UNKNOWN" in capsys.readouterr().out


# ----------------------------------------------------------------------------- targets


def test_a_file_with_several_models_lists_them(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(elsewhere / "m.py", COUNTER + "\nother = counter(top=1)\n_private = counter(top=2)\n")
    assert main(["check", "m.py"]) == 2
    assert "holds 2 models, choose one of: m.py:counter, m.py:other" in capsys.readouterr().err
    assert main(["check", "m.py:other"]) == 0
    assert main(["check", "m.py:other", "--set", "top=2"]) == 2
    assert "only a function that returns a Model takes any" in capsys.readouterr().err
    assert main(["list", "m.py"]) == 0
    assert capsys.readouterr().out == "m.py:counter procs=2 top=3 strict=0\nm.py:other\n"


def test_what_can_be_a_target(elsewhere: Path) -> None:
    write(elsewhere / "m.py", COUNTER + "\ndef bare(top=1):\n    return counter(top=top)\n")
    write(elsewhere / "pack" / "__init__.py", "")
    write(elsewhere / "pack" / "inner.py", "from .base import counter\nm = counter(top=1)\n")
    write(elsewhere / "pack" / "base.py", "from __future__ import annotations\n" + COUNTER)
    write(elsewhere / "queue.py", COUNTER)
    for target, full in {
        "m.py": "m.py:counter",
        "m.py:bare": "m.py:bare",
        str(elsewhere / "m.py"): f"{elsewhere}/m.py:counter",
        "pack.base": "pack.base:counter",
        "pack/inner.py": "pack/inner.py:m",
        "queue.py": "queue.py:counter",
    }.items():
        model, name = Target.parse(target).build({})
        assert (model.name, name) == ("counter", full)


@pytest.mark.parametrize(
    ("text", "target", "said"),
    [
        ("", "nowhere.py", "nowhere.py: there is no such file in "),
        ("", "nowhere", "nowhere: ModuleNotFoundError: No module named 'nowhere'"),
        ("", "m.py", "m.py holds no Model and no function annotated as returning one"),
        (COUNTER, "m.py:nobody", "m.py has no model 'nobody'; it offers: counter"),
        (COUNTER, "m.py --set low=1", "no constant 'low'; it takes: procs, top, strict"),
        (COUNTER.replace("top: int = 3", "*, top: int"), "m.py", "counter needs --set top=N"),
        ("def f(): return 1", "m.py:f", "f() returned int, not a Model"),
        ("x = (", "m.py", "m.py:1: SyntaxError: '(' was never closed"),
        ("import sys\nsys.exit(0)", "m.py", "m.py:2: SystemExit: 0"),
        ("def f():\n return 1 / 0\nf()", "m.py", "m.py:2: ZeroDivisionError: division by zero"),
        (COUNTER.replace("do.when(at[p] < top)", ""), "m.py", "sets at[0] to 4, outside its range"),
        (COUNTER.replace("at[0] >= 0", "0 <= at[0] <= 9"), "m.py", "asks the expression"),
        (COUNTER, "m.py --set top=4 --set top=5", "--set gives a constant twice"),
        (COUNTER, "m.py --set strict=7", "strict is yes or no: --set strict=1 or strict=0"),
        ("from enum import Enum\nEnum('E', 'A').B", "m.py", "m.py:2: AttributeError: "),
        (COUNTER, "m.py --traces P9", "--traces takes none, first, all or a property, not 'P9'"),
    ],
)
def test_a_wrong_model_is_one_clear_line(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], text: str, target: str, said: str
) -> None:
    write(elsewhere / "m.py", text)
    write(elsewhere / "report.json", "an older report")
    assert main(["check", *target.split(), "--format", "json", "--output", "report.json"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert "m.py" in err or "nowhere" in err or "counter" in err or "f()" in err
    assert "CONFIRMED" not in err
    assert main(["check", *target.split(), "--traceback"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("target", "named"), [(".", "."), ("", "nothing"), ("m.txt", "m.txt")])
def test_what_can_be_no_target(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], target: str, named: str
) -> None:
    write(elsewhere / "m.txt", COUNTER)
    assert main(["check", target]) == 2
    said = f"nbio.verify: {named} is no Python file and no module\n"
    assert capsys.readouterr() == ("", said)


def test_what_an_encoding_lacks_is_escaped(elsewhere: Path) -> None:
    write(elsewhere / "m.py", COUNTER.replace("four is enough", "vier genügt \\ud800"))
    assert main(["check", "m.py", "--format", "json", "--output", "report"]) == 1
    assert "vier genügt \\ud800" in (elsewhere / "report").read_text(encoding="utf-8")


def test_what_a_model_prints_stays_out_of_the_report(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(elsewhere / "m.py", "print('loading')\n" + COUNTER)
    main(["check", "m.py", "--format", "json"])
    out, err = capsys.readouterr()
    assert out.startswith("{")
    assert "loading" in err


# ----------------------------------------------------------------------------- reports


def test_a_report_appears_only_when_complete(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(elsewhere / "m.py", COUNTER)
    report = write(elsewhere / "report.txt", "an older report")
    assert main(["check", "m.py", "--output", "report.txt", "--set", "top=1"]) == 0
    assert report.read_text().startswith("counter: CONFIRMED")
    write(elsewhere / "m.py", COUNTER.replace("do.when(at[p] < top)", ""))
    sys.modules.pop("m")
    assert main(["check", "m.py", "--output", "report.txt"]) == 2
    assert sorted(p.name for p in elsewhere.iterdir() if p.is_file()) == ["m.py"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("path", ["nowhere/report", ".", "m.py/report"])
def test_a_path_that_cannot_be_written(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    write(elsewhere / "m.py", COUNTER)
    assert main(["check", "m.py", "--output", path]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"nbio.verify: the report can't be written to {path}: ")
    assert err.count("\n") == 1


def test_a_symbolic_link_and_a_device_stay_what_they_are(elsewhere: Path) -> None:
    write(elsewhere / "m.py", COUNTER)
    (elsewhere / "link").symlink_to("real")
    assert main(["check", "m.py", "--output", "link"]) == 1
    assert (elsewhere / "link").is_symlink()
    assert (elsewhere / "real").read_text().startswith("counter")
    assert main(["check", "m.py", "--output", "/dev/null"]) == 1
    assert Path("/dev/null").is_char_device()


def test_a_full_disk(elsewhere: Path) -> None:
    write(elsewhere / "m.py", COUNTER)

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    command = [sys.executable, "-m", "nbio.verify", "check", "m.py", "--set", "top=1"]
    done = subprocess.run(
        [*command, "--output", "report"], capture_output=True, text=True, preexec_fn=full
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "nbio.verify: the report can't be written to report: File too large\n"
    assert not list(elsewhere.glob("*report*"))
    with open("/dev/full", "w") as device:
        done = subprocess.run(command, stdout=device, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    said = "the report can't be written to standard output: No space left on device"
    assert done.stderr == f"nbio.verify: {said}\n"


def test_interrupted(elsewhere: Path) -> None:
    write(elsewhere / "m.py", LARGE)
    command = [sys.executable, "-m", "nbio.verify", "check", "m.py", "--progress"]
    with subprocess.Popen(
        [*command, "--output", "report"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert "states" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 3
    assert out == ""
    last = err.splitlines()[-1]
    assert re.fullmatch(
        r"nbio.verify: interrupted: UNKNOWN; [\d,]+ states were seen, to depth \d+", last
    )
    assert not list(elsewhere.glob("*report*"))


# ----------------------------------------------------------------- simulate and graph


def counter(**constants: int) -> Model:
    return Target.parse("m.py").build(constants)[0]


def test_walks_refute_and_never_confirm(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(elsewhere / "m.py", COUNTER)
    assert main(["simulate", "m.py", "--walks", "9", "--seed", "3"]) == 1
    first = capsys.readouterr().out
    assert "again: python -m nbio.verify simulate m.py:counter --walks 9 --steps 1000" in first
    main(["simulate", "m.py", "--walks", "9", "--seed", "3"])
    again = capsys.readouterr().out
    assert again.split("\n")[3:] == first.split("\n")[3:]
    assert main(["simulate", "m.py", "--set", "top=1"]) == 3
    assert "counter: UNKNOWN (walks can't confirm anything" in capsys.readouterr().out


def test_a_walk_is_a_run_without_detours(elsewhere: Path) -> None:
    there_and_back = COUNTER.replace("do.when(at[p] < top)", "").replace("at[p] + 1)", "1 - at[p])")
    write(elsewhere / "m.py", there_and_back.replace("<= (2 if strict else 4)", "<= 1"))
    found = simulate(counter(), walks=5, steps=50)
    refuted = {r.name: r for r in found.results if r.verdict is Verdict.REFUTED}
    assert set(refuted) == {"bounded"}
    trace = refuted["bounded"].trace
    rerun(found.program, trace)
    assert sum(trace[-1].state) == 2
    assert len({step.state for step in trace}) == len(trace)


def test_walks_find_deadlocks_and_witnesses(elsewhere: Path) -> None:
    write(elsewhere / "m.py", COUNTER.replace("m.done(", "m.done(at[0] + 1 == 0) if 1 else ("))
    found = {r.name: r for r in simulate(counter(top=2)).results}
    assert (found["deadlock"].verdict, found["deadlock"].depth) == (Verdict.REFUTED, 4)
    assert (found["end"].verdict, found["end"].trace) == (Verdict.UNKNOWN, [])
    assert found["end"].depth is not None


def test_steps_bound_a_walk(elsewhere: Path) -> None:
    write(elsewhere / "m.py", COUNTER)
    found = simulate(counter(), walks=3000, steps=2)
    assert (found.longest, found.walks, found.transitions) == (2, 3000, 6000)
    assert all(r.verdict is Verdict.UNKNOWN for r in found.results)


@pytest.mark.parametrize("command", ["check", "simulate", "graph --dot", "export --promela"])
def test_a_model_without_initial_state_is_an_error_for_all(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    nowhere = COUNTER.replace("    m.done(", "    m.initially(at[0] > top)\n    m.done(")
    write(elsewhere / "m.py", nowhere)
    name, *options = command.split()
    assert main([name, "m.py", *options]) == 2
    assert capsys.readouterr() == ("", "nbio.verify: m.py: model counter has no initial state\n")


def test_a_small_graph_is_drawn(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(elsewhere / "m.py", COUNTER.replace("<= (2 if strict else 4)", "<= 1"))
    assert main(["graph", "m.py", "--set", "top=1", "--dot"]) == 0
    dot = capsys.readouterr().out
    assert dot.count("->") == 4
    assert 's0 [label="at = 0 0\\l", peripheries=2];' in dot
    assert 's3 [label="at = 1 1\\lviolates bounded\\l", style=filled' in dot
    assert main(["graph", "m.py", "--set", "top=1", "--mermaid"]) == 0
    mermaid = capsys.readouterr().out
    assert mermaid.startswith('flowchart TD\n  s0(["at = 0 0"])\n')
    assert 's3["at = 1 1<br>violates bounded"]:::bad' in mermaid
    assert 's0 -->|"step(0)"| s1' in mermaid
    assert main(["graph", "m.py", "--dot", "--states", "15"]) == 2
    assert "more than 15 states, too many to draw" in capsys.readouterr().err
