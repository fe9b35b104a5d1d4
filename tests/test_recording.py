"""What a pool records is a run of the model, and a record that was tampered with is found out."""

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import nbio
from model.lifecycle import SLOT
from model.replay import judge
from nbio import _lifecycle
from nbio._lifecycle import COPY, OK
from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.errors import BodyDisconnected, BodyError
from nbio.hub import Hub
from nbio.native import NativeSite
from nbio.pool import BodyPool
from nbio.recording import Recorder
from nbio.testing.__main__ import main
from nbio.testing.replay import START, Event, Recording, TraceError, parsed, read, replay
from proofs.abstraction import by_table
from tests.live import RECORDED, chunked, post, serving, source_only

pytestmark = source_only

EDITS = 800


def test_a_block_that_is_fed_while_it_is_looked_at_is_a_run_of_the_world(tmp_path: Path) -> None:
    async def look(body: BodyReader) -> None:
        async with body.views() as views:
            assert bytes(await anext(views)) == b"ab"
            body.feed(b"c")
        assert await body.read(9) == b"c"

    def use(pool: BodyPool) -> None:
        body = pool.acquire("request")
        body.feed(b"ab")
        asyncio.run(look(body))
        body.release()

    found = judge(recorded(tmp_path / "trace.jsonl", use))
    assert found.is_run, str(found)


def recorded(path: Path, use: Callable[[BodyPool], None], limit: int = 1 << 17) -> Recording:
    """What a pool of four-byte blocks recorded while it was used."""
    recorder = Recorder(path, limit)
    pool = recorder.pool_class()(BlockPool(4), high_water=2, low_water=1, safety="off")
    recorder.start(pool)
    try:
        use(pool)
    finally:
        recorder.close()
    pool.assert_balanced()
    return read(path)


def busy(pool: BodyPool, seed: int = 1, lives: int = 12) -> None:
    """Requests one after the other and beside one another, with threads that read and close."""
    rng = random.Random(seed)
    bodies: list[BodyReader] = []
    for number in range(lives):
        body = pool.acquire(f"request {number}")
        bodies.append(body)
        if rng.random() < 0.3:
            body.detach()
        reader = threading.Thread(target=read_all, args=(body,))
        reader.start()
        for _ in range(rng.randrange(5)):
            body.feed(b"x" * rng.randrange(1, 7))
        end = rng.choice(("finish", "close", "release", "cut"))
        if end == "cut":
            body.fail(BodyDisconnected("gone", request=body.request))
        else:
            getattr(body, end)()
        body.close()
        reader.join()
        body.release()
        if rng.random() < 0.4:
            bodies.pop(rng.randrange(len(bodies))).close()


def read_all(body: BodyReader) -> None:
    try:
        body.read_blocking()
    except BodyError:
        body.close()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Recording]:
    folder = tmp_path_factory.mktemp("traces")
    found = [
        recorded(folder / f"{seed}.jsonl", lambda pool, seed=seed: busy(pool, seed))  # type: ignore[misc]
        for seed in range(4)
    ]

    async def handler(request: nbio.Request) -> nbio.Response:
        size = 0
        async for view in request.body.views():
            size += len(view)
        return nbio.Response(str(size))

    path = folder / "live.jsonl"
    with serving(handler, record_trace=str(path), block_size=64, high_water=2, low_water=1) as live:
        clients = [live.client() for _ in range(3)]
        for client in clients:
            client.send(post(b"x" * 300)[:-100])
        for client in clients:
            client.send(b"x" * 100)
            assert client.answer().body == b"300"
            client.socket.close()
        live.ask(chunked(b"abc" * 30, b"d"))
    return [*found, read(path)]


def test_real_runs_are_runs_of_the_model(recordings: Sequence[Recording]) -> None:
    for recording in recordings:
        found = replay(recording)
        assert found.refused is None, str(found)
        assert recording.complete
        assert len(recording.events) == found.events > 30
    assert {e.name for r in recordings for e in r.events} >= {*_lifecycle.EVENTS} - {"finalize"}


# ------------------------------------------------------------------------------- tampering


def judged_by_the_tables(recording: Recording) -> int | None:
    """The first event that the model's tables don't allow: replayed a second way, by another."""
    slots: dict[int, dict[str, int]] = {}
    for place, event in enumerate(recording.events):
        slot = slots.setdefault(event.slot, dict(START))
        own = event.generation == slot["generation"]
        marks = {"high": recording.high, "low": recording.low, "presented": event.generation}
        outcome, *values = by_table(
            SLOT.events[event.name], {**slot, **marks, **event.params}, list(slot)
        )
        free = slot["state"] == _lifecycle.FREE
        if event.generation > slot["generation"] or (event.name == "acquire" and not own):
            return place
        if own and free and event.name != "acquire":
            return place
        unleased = event.name == "unlease" and own
        if unleased and (not slot["leased"] or slot["held"] < event.params["freed"]):
            return place
        if _lifecycle.OUTCOMES[outcome] != event.outcome:
            return place
        slot.update(zip(slot, values, strict=True))
    return None


def edited(events: Sequence[Event], rng: random.Random) -> tuple[list[Event], int, str]:
    """One event dropped, doubled or moved; and the first place that differs."""
    new, place = list(events), rng.randrange(len(events))
    kind = rng.choice(("drop", "double", "move"))
    if kind == "drop":
        del new[place]
    elif kind == "double":
        new.insert(place, new[place])
        place += 1
    else:
        goal = rng.randrange(len(events))
        new.insert(goal, new.pop(place))
        place = min(place, goal)
    return new, place, kind


def renumbered(events: Sequence[Event]) -> tuple[Event, ...]:
    """As if nothing had happened: each slot's events are counted again."""
    counts: dict[int, int] = {}
    new = []
    for event in events:
        seq = counts.get(event.slot, 0)
        counts[event.slot] = seq + 1
        new.append(replace(event, seq=seq))
    return tuple(new)


def first_out_of_order(events: Sequence[Event]) -> int | None:
    """The first place where a slot's events aren't 0, 1, 2, ..."""
    for place, (event, right) in enumerate(zip(events, renumbered(events), strict=True)):
        if event.seq != right.seq:
            return place
    return None


def test_every_edit_is_found_where_it_is_or_makes_another_run_of_the_model(
    recordings: Sequence[Recording], told: list[str]
) -> None:
    rng, rejected, forged, legal = random.Random(4), 0, 0, 0
    for number in range(EDITS):
        recording = recordings[number % len(recordings)]
        events, place, _ = edited(recording.events, rng)
        # As it is: the slots' own counts give it away, unless nothing of any slot's moved.
        found = replay(replace(recording, events=tuple(events)))
        wrong = first_out_of_order(events)
        assert (found.events if found.refused else None) == wrong
        if found.refused is not None:
            assert found.refused.why.startswith("it is number")
            assert found.events >= place
            rejected += 1
        # Forged: the counts put right, so the model alone has to tell.
        forgery = replace(recording, events=renumbered(events))
        result, other = replay(forgery), judged_by_the_tables(forgery)
        assert (result.events if result.refused else None) == other
        if other is None:
            legal += 1
        else:
            assert other >= place
            forged += 1
    assert rejected + forged > 500
    told.append(
        f"traces: {EDITS} edits: {rejected} told by the count, {EDITS - rejected} moved nothing of "
        f"any slot's; renumbered: {forged} refused by the model, {legal} are other runs of it"
    )


def test_the_count_alone_misses_only_a_slots_last_event(recordings: Sequence[Recording]) -> None:
    recording = recordings[0]
    for place, event in enumerate(recording.events):
        events = (*recording.events[:place], *recording.events[place + 1 :])
        found = replay(replace(recording, events=events)).refused
        last = all(e.slot != event.slot for e in recording.events[place + 1 :])
        assert (found is None) is last


# --------------------------------------------------------------------- pools that are wrong


def test_a_pool_that_breaks_the_lifecycle_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.jsonl"

    def shared(*given: int) -> tuple[int, int]:
        return (OK, given[-1])

    def use(pool: BodyPool) -> None:
        body = pool.acquire("one")
        body.feed(b"data")
        assert body._lease(COPY) == body._lease(COPY) == OK
        body._unlease(4)
        body.close()

    monkeypatch.setattr(_lifecycle, "lease", shared)
    recording = recorded_unbalanced(path, use)
    monkeypatch.undo()
    refused = replay(recording).refused
    assert refused is not None
    told = str(refused).splitlines()
    assert told[:3] == [
        "line 5, slot 0, event 3, is no step of the model:",
        "  lease(generation=0, kind=1) -> OK",
        "  the model says BUSY",
    ]
    assert "  lease    -> BUSY" in told
    assert main(["replay", str(path)]) == 1


def recorded_unbalanced(path: Path, use: Callable[[BodyPool], None]) -> Recording:
    recorder = Recorder(path)
    pool = recorder.pool_class()(BlockPool(4), safety="off")
    recorder.start(pool)
    use(pool)
    recorder.close()
    return read(path)


# ---------------------------------------------------------------------------- the recorder


async def never(request: nbio.Request) -> nbio.Response:
    raise NotImplementedError


def test_a_pool_that_does_not_record_is_the_plain_one() -> None:
    loop = asyncio.new_event_loop()
    hub = Hub(nbio.Config(), NativeSite(never, 1), loop)
    loop.close()
    assert type(hub.pool) is BodyPool
    assert BodyPool.acquire.__globals__["BodyReader"] is BodyReader


def test_an_overflowing_record_ends_there_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    # Before the writer looks for the first time.
    recording = recorded(path, busy, limit=5)
    assert not recording.complete
    assert json.loads(path.read_text().splitlines()[-1]) == {"overflowed": True}
    assert replay(recording).refused is None
    assert main(["replay", str(path)]) == 0


def test_slots_that_are_still_out_are_named(tmp_path: Path) -> None:
    kept: list[BodyReader] = []
    recording = recorded_unbalanced(
        tmp_path / "t.jsonl", lambda pool: kept.append(pool.acquire("kept"))
    )
    assert replay(recording).out == (0,)
    assert "still out at its end: slots 0" in str(replay(recording))
    kept[0].close()


@pytest.mark.nbio_unbalanced
def test_a_leak_is_on_record(tmp_path: Path) -> None:
    def forget(pool: BodyPool) -> None:
        pool.acquire("forgotten")
        with pytest.warns(ResourceWarning, match="never closed"):
            pool.drain()

    recording = recorded_unbalanced(tmp_path / "t.jsonl", forget)
    assert [e.name for e in recording.events] == ["acquire", "finalize"]
    assert replay(recording).refused is None


def test_the_recorder_needs_a_file_it_can_write(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Recorder(tmp_path / "nowhere" / "t.jsonl")


HEAD = '{"nbio-trace":1,"high":2,"low":1}'
GOOD = (
    '{"slot":0,"seq":0,"time":1,"thread":1,"generation":0,"event":"acquire","outcome":"OK"}',
    '{"slot":0,"seq":1,"time":1,"thread":1,"generation":0,"event":"feed","blocks":1,"outcome":"OK"}',
)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "the file is empty"),
        (["{}"], "line 1 is not the head"),
        (["{"], "line 1 is not JSON"),
        (["[]"], "line 1 is no object"),
        (['{"nbio-trace":1,"high":"2","low":1}'], "high is '2', not a whole number"),
        ([HEAD, GOOD[0].replace("acquire", "obtain")], "line 2: there is no event 'obtain'"),
        ([HEAD, GOOD[0].replace("OK", "FINE")], "line 2: there is no outcome 'FINE'"),
        ([HEAD, GOOD[1].replace('"blocks":1,', "")], "line 2: blocks is None"),
        ([HEAD, GOOD[0].replace('"seq":0', '"seq":true')], "line 2: seq is True"),
    ],
)
def test_what_is_no_trace_is_told(
    lines: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TraceError, match=said):
        parsed(lines)
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(lines))
    assert main(["replay", str(path)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"event": "lease", "kind": 3, "outcome": "OK"}, "no lease of kind 3"),
        ({"event": "unlease", "freed": 0, "outcome": "OK"}, "nobody has a lease to give back"),
        (
            {"event": "close", "generation": 1, "outcome": "STALE"},
            "nobody has a handle of that generation yet",
        ),
        ({"event": "close", "seq": 3, "outcome": "RECYCLED"}, "it is number 3"),
        ({"event": "lease", "kind": 1, "outcome": "EMPTY"}, "the model says OK"),
    ],
)
def test_each_way_of_being_no_step(event: dict[str, object], said: str) -> None:
    row = {"slot": 0, "seq": 2, "time": 1, "thread": 1, "generation": 0, **event}
    refused = replay(parsed([HEAD, *GOOD, json.dumps(row)])).refused
    assert refused is not None
    assert said in refused.why


def test_more_freed_than_held_is_no_step() -> None:
    lease = {"event": "lease", "kind": 1, "outcome": "OK"}
    unlease = {"event": "unlease", "freed": 2, "outcome": "OK"}
    rows = [
        json.dumps({"slot": 0, "seq": 2 + n, "thread": 1, "generation": 0, **row})
        for n, row in enumerate((lease, unlease))
    ]
    refused = replay(parsed([HEAD, *GOOD, *rows])).refused
    assert refused is not None
    assert refused.why == "it frees 2 blocks of 1"


@pytest.fixture(scope="session", autouse=True)
def _sum_up(told: list[str]) -> Iterator[None]:
    yield
    events = sum(r.by_lifecycle.events for r in RECORDED)
    told.append(
        f"traces: {len(RECORDED)} servers recorded {events:,} events of "
        f"{sum(r.lives for r in RECORDED):,} lives: all runs of the lifecycle and of the world"
    )
