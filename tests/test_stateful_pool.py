"""Hypothesis drives the real pool beside the model: every step must lead both to the same place.

The model is the final design's world, whole, as the checker explored it. What this adds to
`proofs/refinement.py`, which takes every transition once by a shortest way, is length and chance:
one pool lives through many steps. Planned walks take every transition there is; Hypothesis takes
them in orders that nobody planned. At the end the share of the model that each saw is printed.
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from model.final import final
from model.world import Bounds
from proofs.abstraction import Stage
from proofs.graph import Graph
from proofs.refinement import difference

# It forgets bodies on purpose; what `end` leaves is asserted by `end`.
pytestmark = pytest.mark.nbio_unbalanced

BOUNDS = Bounds(slots=1, requests=2, blocks=1, leftovers=1, keepers=1, buffers=2, detachers=1)
"""So small that all of it can be seen within a few seconds."""
GRAPH = Graph(final(**vars(BOUNDS)))
STATES: set[int] = set()
TRANSITIONS: set[tuple[int, int]] = set()
"""What Hypothesis saw: the planned walks see all, by their plan."""


def test_one_pool_lives_through_long_walks_that_take_every_transition() -> None:
    taken: set[tuple[int, str]] = set()
    for walk in GRAPH.walks():
        stage = Stage(BOUNDS)
        for edge in walk:
            stage.act(edge.instance.action.name, edge.instance.values)
            told = difference(stage, GRAPH.names, GRAPH.states[edge.target])
            assert told == "", " ".join(e.instance.label for e in walk)
            taken.add((edge.source, edge.instance.label))
        stage.end()
    assert len(taken) == GRAPH.transitions


class PoolBesideModel(RuleBasedStateMachine):
    """One real pool, one state of the model."""

    @initialize(goal=st.sampled_from(range(len(GRAPH.states))))
    def begin_on_the_way_to(self, goal: int) -> None:
        # By chance alone most walks are over after a dozen steps, and see the same few states.
        self.stage = Stage(BOUNDS)
        self.at = 0
        for edge in GRAPH.way(goal):
            self.take(GRAPH.edges[self.at].index(edge))

    def take(self, number: int) -> None:
        edge = GRAPH.edges[self.at][number]
        self.stage.act(edge.instance.action.name, edge.instance.values)
        TRANSITIONS.add((self.at, number))
        self.at = edge.target
        STATES.add(self.at)
        assert difference(self.stage, GRAPH.names, GRAPH.states[self.at]) == ""

    @precondition(lambda self: bool(GRAPH.edges[self.at]))
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        self.take(data.draw(st.sampled_from(range(len(GRAPH.edges[self.at])))))

    @rule()
    def try_what_is_refused(self) -> None:
        self.stage.refusals()
        assert difference(self.stage, GRAPH.names, GRAPH.states[self.at]) == ""

    def teardown(self) -> None:
        self.stage.end()


TestPoolBesideModel = PoolBesideModel.TestCase
TestPoolBesideModel.settings = settings(
    max_examples=500,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module", autouse=True)
def tell_share(told: list[str]) -> Iterator[None]:
    yield
    states, transitions = len(GRAPH.states), GRAPH.transitions
    told.append(
        f"stateful test of the pool: planned walks take all transitions of the model; by chance "
        f"{len(STATES):,} of its {states:,} states "
        f"({len(STATES) / states:.0%}), {len(TRANSITIONS):,} of the {transitions:,} transitions "
        f"({len(TRANSITIONS) / transitions:.0%})"
    )
    # Far fewer would say that the steps no longer lead anywhere.
    assert len(STATES) > states // 20
