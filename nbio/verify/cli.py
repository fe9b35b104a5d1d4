"""``python -m nbio.verify``: check a model, walk it at random, draw it, export it.

Exit codes: 0 confirmed, 1 refuted, 3 unknown (stopped early or interrupted), 2 misuse or a model
that is wrong. ``check`` exits with 0 only where it was finished and every property is confirmed;
``simulate`` never does.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from nbio.verify import outputs
from nbio.verify.check import Report, check
from nbio.verify.crew import WorkerLostError
from nbio.verify.engine import Bounds, Verdict
from nbio.verify.expr import ModelError
from nbio.verify.report import render
from nbio.verify.spec import Model
from nbio.verify.targets import Offer, Target, TargetError, blame
from nbio.verify.watch import Watch

MISUSE: Final = 2
COMMAND: Final = "python -m nbio.verify"
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand."""
    args = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except KeyboardInterrupt:
        return _interrupted(args)
    except WorkerLostError as error:
        return _say(f"{error}: UNKNOWN{_covered(args)}", Verdict.UNKNOWN.exit_code)
    except MemoryError:
        return _say("out of memory: UNKNOWN; give --memory to be told what was covered", 3)
    except (TargetError, outputs.OutputError) as error:
        return _misused(args, error, str(error))
    except Exception as error:
        return _misused(args, error, blame(args.target, error))


def _say(text: str, code: int) -> int:
    print(f"nbio.verify: {text}", file=sys.stderr)
    return code


def _misused(args: argparse.Namespace, error: BaseException, said: str) -> int:
    if args.traceback:
        traceback.print_exception(error)
    return _say(said, MISUSE)


def _interrupted(args: argparse.Namespace) -> int:
    return _say(f"interrupted: UNKNOWN{_covered(args)}", Verdict.UNKNOWN.exit_code)


def _covered(args: argparse.Namespace) -> str:
    watch: Watch | None = getattr(args, "watch", None)
    return f"; {watch.covered()}" if watch else ""


# ------------------------------------------------------------------------- the options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], about: str) -> _Parser:
        made = commands.add_parser(name, help=about, description=about)
        made.add_argument(
            "target", metavar="MODEL", help="my_model.py or package.module, or either with :Name"
        )
        made.add_argument("--traceback", action="store_true", help="show where an error came from")
        made.set_defaults(run=run)
        return made

    _check_options(command("check", _check, "visit every state and judge every property"))
    _walk_options(command("simulate", _simulate, "random walks: they can refute, never confirm"))
    _graph_options(command("graph", _graph, "draw the states of a small model"))
    exporting = command("export", _export, "write the model for another checker")
    _constants_option(exporting)
    exporting.add_argument("--promela", action="store_true", required=True, help="for SPIN")
    _output_option(exporting)
    command("list", _list, "say which models a file offers")
    return parser


_Parser = argparse.ArgumentParser


def _constants_option(parser: _Parser) -> None:
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=N", type=_constant, dest="constants"
    )


def _output_option(parser: _Parser) -> None:
    parser.add_argument("--output", default="-", metavar="FILE", help="appears when complete")


def _check_options(parser: _Parser) -> None:
    _constants_option(parser)
    parser.add_argument("--format", choices=("text", *outputs.FORMATS), default="text")
    _output_option(parser)
    parser.add_argument("--html", default="", metavar="FILE", help="also, to step through it")
    _traces_option(parser)
    parser.add_argument("--states", type=_natural, default=0, help="give up beyond (UNKNOWN)")
    parser.add_argument("--seconds", type=_positive, default=0.0, help="give up after (UNKNOWN)")
    parser.add_argument("--memory", type=_bytes, default=0, metavar="8G", help="as --states")
    parser.add_argument("--workers", type=_counted, default=1, metavar="N", help="processes")
    parser.add_argument("--no-symmetry", action="store_true", help="count every state")
    parser.add_argument("--progress", action="store_true", help="on standard error")


def _traces_option(parser: _Parser) -> None:
    parser.add_argument(
        "--traces", default="first", help="none, first (default), all, or a property's name"
    )
    parser.add_argument(
        "--fold", action="store_true", help="steps without a change to be seen share a row"
    )


def _walk_options(parser: _Parser) -> None:
    _constants_option(parser)
    parser.add_argument("--walks", type=_natural, default=1000)
    parser.add_argument("--steps", type=_natural, default=1000, help="at most, of one walk")
    parser.add_argument("--seed", type=_natural, default=0)
    parser.add_argument("--seconds", type=_positive, default=0.0)
    _output_option(parser)
    _traces_option(parser)


def _graph_options(parser: _Parser) -> None:
    _constants_option(parser)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--dot", action="store_true", help="for Graphviz")
    kind.add_argument("--mermaid", action="store_true", help="for Markdown")
    parser.add_argument("--states", type=_natural, default=200, help="refuse to draw more")
    _output_option(parser)


def _constant(text: str) -> tuple[str, int]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"takes NAME=N with a whole number, not {text!r}")
    try:
        return name, int(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{name} takes a whole number, not {value!r}") from None


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"takes a whole number of at least 0, not {text!r}")
    return int(text)


def _counted(text: str) -> int:
    if not _natural(text):
        raise argparse.ArgumentTypeError("takes a whole number of at least 1, not '0'")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"takes a number of seconds, not {text!r}")
    return value


def _bytes(text: str) -> int:
    """``8G``, ``512M``, ``1.5GiB`` or plain bytes; powers of 1024."""
    number = text.upper().removesuffix("B").removesuffix("I")
    unit = number[-1:] if number[-1:] in _UNITS else ""
    try:
        value = float(number.removesuffix(unit))
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"takes a size such as 8G or 512M, not {text!r}")
    return int(value * _UNITS[unit])


# ------------------------------------------------------------------------- subcommands


def _built(args: argparse.Namespace) -> tuple[Model, str, str]:
    """The model, its full target, and the command line that names both."""
    constants: Mapping[str, int] = dict(args.constants)
    if len(constants) < len(args.constants):
        raise TargetError(f"{args.target}: --set gives a constant twice")
    model, target = Target.parse(args.target).build(constants)
    sets = "".join(f" --set {k}={v}" for k, v in constants.items())
    return model, target, f"{COMMAND} {args.command} {target}{sets}"


def _check(args: argparse.Namespace) -> int:
    model, target, command = _built(args)
    _known(args.traces, model)
    bounds = Bounds(args.states, args.seconds, args.memory)

    def tell(report: Report) -> str:
        if args.format == "text":
            return render(report, args.traces, command, fold=args.fold) + "\n"
        return outputs.FORMATS[args.format](report, target)

    with (
        outputs.opened(args.output) as write,
        _page(args.html) as page,
        Watch(args.progress, sys.stderr) as args.watch,
    ):
        report = check(
            model,
            bounds,
            args.watch,
            traces=args.traces != "none",
            symmetry=not args.no_symmetry,
            workers=args.workers,
        )
        if page:
            from nbio.verify.html import as_html

            page(as_html(report, target))
        write(tell(report))
    return report.verdict.exit_code


def _page(path: str) -> AbstractContextManager[Callable[[str], None] | None]:
    """What writes the HTML report, where one is wanted."""
    return outputs.opened(path) if path else nullcontext()


def _known(traces: str, model: Model) -> None:
    names = [p.name for p in model.properties] + ["deadlock"] * model.checks_deadlock
    if traces not in ("none", "first", "all", *names):
        raise TargetError(
            f"--traces takes none, first, all or a property, not {traces!r}; "
            f"{model.name} has: {', '.join(names)}"
        )


def _simulate(args: argparse.Namespace) -> int:
    from nbio.verify.simulate import simulate, told

    model, _, command = _built(args)
    _known(args.traces, model)
    with outputs.opened(args.output) as write:
        found = simulate(model, args.walks, args.steps, args.seed, args.seconds)
        walks = f" --walks {args.walks} --steps {args.steps} --seed {args.seed}"
        write(told(found, args.traces, command + walks) + "\n")
    return found.verdict.exit_code


def _graph(args: argparse.Namespace) -> int:
    from nbio.verify import drawing

    model, _, _ = _built(args)
    with outputs.opened(args.output) as write:
        graph = drawing.Graph.of(model, args.states)
        write(drawing.dot(graph) if args.dot else drawing.mermaid(graph))
    return 0


def _export(args: argparse.Namespace) -> int:
    from nbio.verify.promela import to_promela

    model, _, command = _built(args)
    with outputs.opened(args.output) as write:
        write(to_promela(model, f"{command} --promela"))
    return 0


def _list(args: argparse.Namespace) -> int:
    target = Target.parse(args.target)
    found = target.offers()
    if not found:
        raise ModelError(
            f"{target.source} holds no Model and no function annotated as returning one"
        )
    with outputs.opened("-") as write:
        write("".join(f"{_described(target, offer)}\n" for offer in found))
    return 0


def _described(target: Target, offer: Offer) -> str:
    constants = [f"{k}={'?' if v is None else int(v)}" for k, v in offer.constants.items()]
    return " ".join([f"{target.source}:{offer.name}", *constants])
