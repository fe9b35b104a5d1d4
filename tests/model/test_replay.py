"""``python -m model replay``: what the lifecycle alone would let pass, the world may not."""

import json
from pathlib import Path

import pytest

from model.__main__ import main
from model.replay import judge
from nbio.testing.replay import parsed

Row = dict[str, object]


def lines(*rows: Row) -> list[str]:
    """A trace of one slot's first life."""
    head: Row = {"nbio-trace": 1, "high": 2, "low": 1}
    same: Row = {"slot": 0, "thread": 1, "generation": 0, "outcome": "OK"}
    return [json.dumps(r) for r in (head, *({**same, "seq": n, **r} for n, r in enumerate(rows)))]


ACQUIRE: Row = {"event": "acquire"}
FEED: Row = {"event": "feed", "blocks": 1}
COPY: Row = {"event": "lease", "kind": 1}
VIEW: Row = {"event": "lease", "kind": 2}
COPIED: Row = {"event": "unlease", "freed": 1}
RELEASE: Row = {"event": "release", "outcome": "RECYCLED"}
FINALIZE: Row = {"event": "finalize", "outcome": "RECYCLED"}
DEFERRED: Row = {"event": "release", "outcome": "DEFERRED"}
LAST_OUT: Row = {"event": "unlease", "freed": 1, "outcome": "RECYCLED"}


@pytest.mark.parametrize(
    "rows",
    [
        [ACQUIRE, FEED, COPY, COPIED, RELEASE],
        # By a thread that outlives the request; the handler is never inside a call at its release.
        [ACQUIRE, FEED, COPY, DEFERRED, LAST_OUT],
        [
            ACQUIRE,
            {"event": "detach"},
            {"event": "detach"},
            {"event": "release", "outcome": "KEPT"},
        ],
        [ACQUIRE, FEED, VIEW, RELEASE, {"event": "unlease", "freed": 1, "outcome": "STALE"}],
        # Several blocks of one call, past the mark.
        [ACQUIRE, FEED, {**FEED, "outcome": "PAUSE"}, {**FEED, "outcome": "PAUSE"}, RELEASE],
    ],
)
def test_runs_of_the_world(rows: list[Row]) -> None:
    found = judge(parsed(lines(*rows)))
    assert found.is_run, str(found)
    assert found.lives == found.different == 1


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        # The framework always releases, so no handle is garbage before.
        ([ACQUIRE, FINALIZE], 1),
        # Nor is one that somebody inside a call holds.
        ([ACQUIRE, FEED, COPY, DEFERRED, FINALIZE], 4),
        # A copy's lease is never revoked, and ends once: this one was given back before.
        ([ACQUIRE, FEED, COPY, DEFERRED, LAST_OUT, {**COPIED, "outcome": "STALE"}], 5),
        ([ACQUIRE, RELEASE, {"event": "wake", "kind": 1, "outcome": "STALE"}], 2),
    ],
)
def test_what_the_lifecycle_lets_pass_and_the_world_does_not(rows: list[Row], where: int) -> None:
    found = judge(parsed(lines(*rows)))
    assert found.by_lifecycle.refused is None
    assert found.stuck is not None
    assert found.stuck.event.seq == where
    assert "is no step of the world" in str(found)
    assert str(found).endswith("NOT A RUN of the world")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "t.jsonl"
    told = [(lines(ACQUIRE, RELEASE), 0), (lines(ACQUIRE, FINALIZE), 1), (lines(RELEASE), 1)]
    for text, code in [*told, (["nonsense"], 2)]:
        trace.write_text("\n".join(text))
        assert main(["replay", str(trace)]) == code
    out, err = capsys.readouterr()
    assert "a run of the world: 1 lives" in out
    assert "the world's steps there:" in out
    assert "NOT A RUN of the model" in out
    assert "line 1 is not JSON" in err
