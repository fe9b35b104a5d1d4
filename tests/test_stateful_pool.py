"""Hypothesis drives the real pool beside the model: every step must lead both to the same place.

The model is the final design's world, whole, as the checker explored it. What this adds to
`proofs/refinement.py`, which takes every transition once by a shortest way, is length and chance:
one pool lives through many steps. Planned walks take every transition there is; Hypothesis takes
them in orders that nobody planned. At the end the share of the model that each saw is printed.
"""

from collections.abc import Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from model.final import final
from model.world import Bounds
from proofs.abstraction import Stage
from proofs.graph import Edge, Graph
from proofs.refinement import difference
from tests.machines import budget

# It forgets bodies on purpose; what `end` leaves is asserted by `end`.
pytestmark = [pytest.mark.nbio_unbalanced, pytest.mark.timeout(budget.SECONDS)]

BOUNDS = Bounds(slots=1, requests=2, blocks=1, leftovers=1, keepers=1, buffers=2, detachers=1)
"""So small that all of it can be seen within a few seconds."""
GRAPH = Graph(final(**vars(BOUNDS)))
TRANSITIONS: set[tuple[int, int]] = set()
"""What Hypothesis saw."""
PLANNED: set[tuple[int, int]] = set()
"""What the planned walks saw."""


def test_one_pool_lives_through_long_walks_that_take_every_transition() -> None:
    """The machine, with a plan in chance's place: so together they miss nothing."""
    for walk in GRAPH.walks():
        machine = PoolBesideModel()
        machine.stand(0)
        machine.walk(walk, PLANNED)
        machine.try_what_is_refused()
        machine.stage.end()
    assert len(PLANNED) == GRAPH.transitions
    assert {GRAPH.edges[at][number].target for at, number in PLANNED} | {0} == {
        *range(len(GRAPH.states))
    }


class PoolBesideModel(RuleBasedStateMachine):
    """One real pool, one state of the model."""

    @initialize(goal=st.sampled_from(range(len(GRAPH.states))))
    def begin_on_the_way_to(self, goal: int) -> None:
        # By chance alone most walks are over after a dozen steps, and see the same few states.
        self.stand(0)
        self.walk(GRAPH.way(goal), TRANSITIONS)

    def stand(self, at: int) -> None:
        self.stage = Stage(BOUNDS)
        self.at = at

    def walk(self, edges: list[Edge], seen: set[tuple[int, int]]) -> None:
        for edge in edges:
            self.take(GRAPH.edges[self.at].index(edge), seen)

    def take(self, number: int, seen: set[tuple[int, int]]) -> None:
        edge = GRAPH.edges[self.at][number]
        self.stage.act(edge.instance.action.name, edge.instance.values)
        seen.add((self.at, number))
        self.at = edge.target
        told = difference(self.stage, GRAPH.names, GRAPH.states[self.at])
        assert told == "", f"after {edge.instance.label}: {told}"

    @precondition(lambda self: bool(GRAPH.edges[self.at]))
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(range(len(GRAPH.edges[self.at]))))
        self.take(number, TRANSITIONS)

    @rule()
    def try_what_is_refused(self) -> None:
        self.stage.refusals()
        assert difference(self.stage, GRAPH.names, GRAPH.states[self.at]) == ""

    def teardown(self) -> None:
        budget.count("pool")
        self.stage.end()


TestPoolBesideModel = PoolBesideModel.TestCase
TestPoolBesideModel.settings = budget.within(500, 20)


@pytest.fixture(scope="module", autouse=True)
def tell_share(told: list[str]) -> Iterator[None]:
    yield
    states, transitions = len(GRAPH.states), GRAPH.transitions
    chance = {0} | {GRAPH.edges[at][number].target for at, number in TRANSITIONS}
    both = TRANSITIONS | PLANNED
    told.append(
        f"stateful test of the pool, {budget.BEGUN['pool']} examples: "
        f"of the model's {states:,} states and {transitions:,} transitions "
        f" {len(chance) / states:.0%} and {len(TRANSITIONS) / transitions:.0%} by "
        f"chance, {len(both) / transitions:.0%} of the transitions with the planned walks"
    )
    # Far fewer would say that the steps no longer lead anywhere.
    assert budget.HUNT or len(chance) > states // 10
    assert not PLANNED or len(both) == transitions
