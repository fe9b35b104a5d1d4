"""``python -m model``: check a model, recompute the claims, write out the lifecycle."""

import argparse
import sys
from collections.abc import Sequence

from model import claims, emit, full, replay, tables
from model.registry import SAID, build
from nbio.testing.replay import TraceError, read
from nbio.verify.check import check
from nbio.verify.engine import Bounds, Verdict
from nbio.verify.expr import ModelError
from nbio.verify.report import render

USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit code is 0 confirmed, 1 refuted, 3 unknown, 2 misuse."""
    args = _parser().parse_args(argv)
    try:
        if args.command == "check":
            return _check(args)
        if args.command == "verify":
            return _verify(args)
        if args.command == "replay":
            return _replay(args)
        return _emit(args) if args.command == "emit" else _table(args)
    except (ModelError, KeyError) as error:
        print(f"model: {error}", file=sys.stderr)
        return USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="explore models and tell the shortest stories")
    checking.add_argument("models", nargs="*", help=f"of: {SAID}")
    checking.add_argument("--set", action="append", default=[], metavar="NAME=N", dest="constants")
    checking.add_argument(
        "--traces", default="first", help="none, first (default), all, or a property's name"
    )
    checking.add_argument(
        "--fold", action="store_true", help="steps without a change to be seen share a row"
    )
    checking.add_argument("--seconds", type=float, default=0.0, help="give up after (UNKNOWN)")
    checking.add_argument("--states", type=int, default=0, help="give up beyond (UNKNOWN)")
    verifying = commands.add_parser("verify", help="recompute the claims of CLAIMS.toml")
    verifying.add_argument("claims", nargs="*", metavar="CLAIM", help="only these")
    verifying.add_argument("--tier", choices=("ci", "full"), default="ci")
    verifying.add_argument("--rewrite", action="store_true", help="claim what is found now")
    replaying = commands.add_parser("replay", help="replay what `nbio --record-trace` wrote")
    replaying.add_argument("traces", nargs="+", metavar="trace.jsonl")
    emitting = commands.add_parser("emit", help="write nbio/_lifecycle.py")
    emitting.add_argument("--check", action="store_true", help="only say whether it is stale")
    tabling = commands.add_parser("table", help="renew the generated parts of README and docs")
    tabling.add_argument(
        "--check", action="store_true", help="only say what is stale (FULL.toml too)"
    )
    return parser


def _constants(pairs: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not value.lstrip("-").isdigit():
            raise ModelError(f"--set takes NAME=N with a whole number, not {pair!r}")
        found[name] = int(value)
    return found


def _check(args: argparse.Namespace) -> int:
    constants = _constants(args.constants)
    worst = Verdict.CONFIRMED
    for name in args.models or DEFAULT_CHECKS:
        model = build(name, constants if args.models else {})
        report = check(model, Bounds(args.states, args.seconds))
        if args.traces not in ("none", "first", "all"):
            report.result(args.traces)
        sets = "".join(f" --set {k}={v}" for k, v in constants.items())
        command = f"python -m model check {name}{sets}"
        print(render(report, args.traces, command, fold=args.fold))
        print()
        worst = min(worst, report.verdict)
    return worst.exit_code


DEFAULT_CHECKS = ("G1", "F1", "final")


def _verify(args: argparse.Namespace) -> int:
    every = claims.load()
    unknown = set(args.claims) - {c.name for c in every}
    if unknown:
        raise KeyError(f"there is no claim {', '.join(sorted(unknown))}")
    wanted = [c for c in every if c.name in args.claims or (not args.claims and _asked(args, c))]
    checked = [_recheck(c, args.rewrite) for c in wanted]
    wrong = sum(bool(c.differences) for c in checked)
    if args.rewrite:
        renewed = {c.claim.name: c.renewed() for c in checked}
        text = claims.written([renewed.get(c.name, c) for c in every])
        claims.PATH.write_text(text, encoding="utf-8")
    held = {c.claim.name: c.claim for c in checked if args.rewrite or not c.differences}
    if full_ones := {n: c for n, c in held.items() if c.tier == "full"}:
        full.record(full_ones)
    if args.rewrite:
        return 0
    if not checked:
        print(f"no claim of tier {args.tier}: nothing was checked", file=sys.stderr)
        return Verdict.UNKNOWN.exit_code
    print(f"{len(checked) - wrong} of {len(checked)} claims hold as claimed")
    return Verdict.REFUTED.exit_code if wrong else 0


def _replay(args: argparse.Namespace) -> int:
    wrong = 0
    for path in args.traces:
        try:
            judged = replay.judge(read(path))
        except (TraceError, OSError, UnicodeDecodeError) as error:
            print(f"model: {path}: {error}", file=sys.stderr)
            return USAGE_ERROR
        print(f"{path}: {judged}")
        wrong |= not judged.is_run
    return int(wrong)


def _asked(args: argparse.Namespace, claim: claims.Claim) -> bool:
    return bool(args.rewrite) or claim.tier == args.tier


def _recheck(claim: claims.Claim, whole: bool) -> claims.Checked:
    result = claims.recheck(claim, whole=whole)
    f = result.report.found
    mark = "NO" if result.differences else "ok"
    print(
        f"{mark} {claim.name}: {claim.says} "
        f"[{f.states:,} states, {f.transitions:,} transitions, {f.seconds:.1f} s]",
        flush=True,
    )
    for difference in result.differences:
        print(f"     {difference}")
    return result


def _emit(args: argparse.Namespace) -> int:
    if not args.check:
        emit.write()
        return 0
    if emit.is_stale():
        print(f"{emit.TARGET.name} is not what model/lifecycle.py says: run {emit.COMMAND}")
        return 1
    return 0


def _table(args: argparse.Namespace) -> int:
    if not args.check:
        tables.write()
        return 0
    told = [
        f"{p} has stale generated parts: run python -m model table" for p in tables.stale_pages()
    ]
    told += full.stale()
    print("\n".join(told), end="\n" if told else "")
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
