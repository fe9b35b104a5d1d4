"""Whether a recorded run is a run of the model: every event replayed, slot by slot.

`nbio._lifecycle` is what the model says; a step is a step of the model when, in the state to which
the slot's earlier steps led, the event comes to the recorded outcome. What the table leaves to its
callers is asked as well: only who has a lease gives it back, no more is freed than is held, and
nobody presents a generation that is still to come. Each slot counts its events, so one that was
dropped, doubled or moved is noticed where it stands.
"""

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nbio import _lifecycle
from nbio._lifecycle import COPY, FREE, NONE, OUTCOMES, VIEW

START: Final = dict.fromkeys(_lifecycle.WRITES["close"].split(), 0)
"""A slot's fields as it is made: FREE, of generation 0, nothing set."""
ORDER: Final = (
    *("acquire", "feed", "finish", "fail", "wait", "wake", "lease", "unlease"),
    *("detach", "close", "release", "finalize"),
)
STATES: Final = {_lifecycle.FREE: "FREE", _lifecycle.OPEN: "OPEN", _lifecycle.CLOSING: "CLOSING"}
LEASES: Final = {NONE: "NONE", COPY: "COPY", VIEW: "VIEW"}


class TraceError(Exception):
    """The file is no trace; the message says which line, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it was recorded. `line` is its line of the file, from 1."""

    line: int
    slot: int
    seq: int
    generation: int
    name: str
    outcome: str
    params: Mapping[str, int]
    thread: int = 0

    def __str__(self) -> str:
        given = "".join(f", {name}={value}" for name, value in self.params.items())
        return f"{self.name}(generation={self.generation}{given}) -> {self.outcome}"


@dataclass(frozen=True)
class Recording:
    """A whole trace. `complete` says that it was closed; else it may end anywhere."""

    high: int
    low: int
    events: tuple[Event, ...]
    complete: bool


def read(path: str | Path) -> Recording:
    """Read a trace. Raises TraceError for what is none, OSError for a file that can't be read."""
    with Path(path).open(encoding="utf-8") as lines:
        return parsed(lines)


def parsed(lines: Iterable[str]) -> Recording:
    """A trace from its lines. Raises TraceError."""
    head: Mapping[str, object] | None = None
    events: list[Event] = []
    complete = False
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError:
            raise TraceError(f"line {number} is not JSON: {line.strip()[:60]!r}") from None
        if not isinstance(row, dict):
            raise TraceError(f"line {number} is no object")
        if head is None:
            head = row
            if row.get("nbio-trace") != 1:
                raise TraceError(f"line {number} is not the head of a trace of version 1")
        elif "event" in row:
            events.append(_event(number, row))
        else:
            complete = bool(row.get("closed"))
    if head is None:
        raise TraceError("the file is empty")
    return Recording(_number(1, head, "high"), _number(1, head, "low"), tuple(events), complete)


def _number(line: int, row: Mapping[str, object], key: str) -> int:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TraceError(f"line {line}: {key} is {value!r}, not a whole number")
    return value


def _event(line: int, row: Mapping[str, object]) -> Event:
    name, outcome = str(row["event"]), str(row.get("outcome"))
    if name not in PARAMETERS:
        raise TraceError(f"line {line}: there is no event {name!r}")
    if outcome not in OUTCOMES.values():
        raise TraceError(f"line {line}: there is no outcome {outcome!r}")
    params = {key: _number(line, row, key) for key in PARAMETERS[name]}
    slot, seq, generation, thread = (
        _number(line, row, key) for key in ("slot", "seq", "generation", "thread")
    )
    return Event(line, slot, seq, generation, name, outcome, params, thread)


def _parameters(event: str) -> tuple[str, ...]:
    given = inspect.signature(getattr(_lifecycle, event)).parameters
    return tuple(name for name in given if name in ("kind", "blocks", "freed"))


PARAMETERS: Final = {event: _parameters(event) for event in _lifecycle.EVENTS}


FLAGS: Final = frozenset(["waiting", "ended", "failed", "detached", "paused"])
"""The fields that are true or false."""


# -------------------------------------------------------------------------------- replaying


@dataclass
class SlotRun:
    """One slot as far as it was replayed."""

    high: int
    low: int
    fields: dict[str, int] = field(default_factory=lambda: dict(START))
    seq: int = 0

    def take(self, event: Event) -> str:
        """Take a step; or say why it is none of the model's, and leave the slot as it was."""
        if event.seq != self.seq:
            return f"it is number {event.seq} of its slot's events, and number {self.seq} is next"
        told = self.allows(event)
        if told:
            return told
        outcome, fields = self.applied(event.name, event.generation, event.params)
        if outcome != event.outcome:
            return f"the model says {outcome}"
        self.fields = fields
        self.seq += 1
        return ""

    def allows(self, event: Event) -> str:
        """What the table leaves to the callers: "" where they kept to it."""
        generation, free = self.fields["generation"], self.fields["state"] == FREE
        if event.params.get("kind", COPY) not in (COPY, VIEW):
            return f"there is no lease of kind {event.params['kind']}"
        if event.name == "acquire":
            own = event.generation == generation
            return "" if own else "a slot is acquired at its own generation"
        if event.generation > generation or (free and event.generation == generation):
            return "nobody has a handle of that generation yet"
        if event.name != "unlease" or event.generation < generation:
            return ""
        if self.fields["leased"] == NONE:
            return "nobody has a lease to give back"
        if event.params["freed"] > self.fields["held"]:
            return f"it frees {event.params['freed']} blocks of {self.fields['held']}"
        return ""

    def applied(
        self, event: str, generation: int, params: Mapping[str, int]
    ) -> tuple[str, dict[str, int]]:
        """What the model makes of an event: the outcome, and the fields after it."""
        function = getattr(_lifecycle, event)
        known = {"presented": generation, "high": self.high, "low": self.low}
        given = {**self.fields, **known, **params}
        # A compiled function takes no 0 for a False.
        wanted = inspect.signature(function).parameters
        code, *values = function(*(bool(given[n]) if n in FLAGS else given[n] for n in wanted))
        after = dict(zip(_lifecycle.WRITES[event].split(), map(int, values), strict=True))
        return OUTCOMES[code], {**self.fields, **after}

    def allowed(self) -> Iterator[tuple[str, str]]:
        """Every event through a handle of the present generation, and what it would come to."""
        sample = {"kind": COPY, "blocks": 1, "freed": min(1, self.fields["held"])}
        for name in ORDER:
            params = {key: sample[key] for key in PARAMETERS[name]}
            if name == "unlease" and self.fields["leased"] == NONE:
                yield name, "nobody has a lease"
            else:
                yield name, self.applied(name, self.fields["generation"], params)[0]

    def __str__(self) -> str:
        named = {"state": STATES, "leased": LEASES}
        shown = [f"{k}={named.get(k, {}).get(v, str(v))}" for k, v in self.fields.items()]
        return " ".join(shown)


@dataclass(frozen=True)
class Refused:
    """The first event that is no step of the model; why, and how the slot stood."""

    event: Event
    why: str
    slot: SlotRun
    before: tuple[Event, ...]

    def __str__(self) -> str:
        e = self.event
        told = [
            f"line {e.line}, slot {e.slot}, event {e.seq}, is no step of the model:",
            f"  {e}",
            f"  {self.why}",
            f"the slot before it: {self.slot}",
            *(f"  after line {b.line}: {b}" for b in self.before),
            "the model's steps there, for the handle of that generation:",
            *(f"  {name:<9}-> {outcome}" for name, outcome in self.slot.allowed()),
        ]
        return "\n".join(told)


@dataclass(frozen=True)
class Replayed:
    """What became of a trace. `out`: slots that were not FREE where it ended."""

    events: int
    slots: int
    out: tuple[int, ...]
    refused: Refused | None

    def __str__(self) -> str:
        if self.refused is not None:
            return f"{self.refused}\nNOT A RUN of the model"
        out = f"; still out at its end: slots {', '.join(map(str, self.out))}" if self.out else ""
        return f"a run of the model: {self.events:,} events of {self.slots:,} slots{out}"


SHOWN: Final = 5
"""So many of a slot's events are told before the one that is refused."""


def replay(recording: Recording) -> Replayed:
    """Take every step of a trace, up to the first that is none of the model's."""
    runs: dict[int, SlotRun] = {}
    for count, event in enumerate(recording.events):
        run = runs.setdefault(event.slot, SlotRun(recording.high, recording.low))
        why = run.take(event)
        if why:
            earlier = [e for e in recording.events[:count] if e.slot == event.slot]
            refused = Refused(event, why, run, tuple(earlier[-SHOWN:]))
            return Replayed(count, len(runs), (), refused)
    out = tuple(slot for slot, run in sorted(runs.items()) if run.fields["state"] != FREE)
    return Replayed(len(recording.events), len(runs), out, None)
