"""A model whose actions are kept, to be taken apart, instead of declared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nbio.verify.spec import ActionBody, Index, Model


@dataclass(frozen=True)
class Captured:
    """An action of ``final.py``, before it is taken apart."""

    name: str
    body: ActionBody
    params: Mapping[str, Index]
    actor: str
    say: str


@dataclass
class Capturing(Model):
    """A model that keeps actions for later instead of declaring them."""

    captured: list[Captured] = field(default_factory=list)

    def add_action(
        self,
        name: str,
        body: ActionBody,
        params: Mapping[str, Index],
        actor: str = "",
        say: str = "",
        fair: str = "",
        never: bool = False,
        fair_for: Sequence[str] | None = None,
    ) -> None:
        if not never:
            self.captured.append(Captured(name, body, params, actor, say))

    def declare(self, name: str, body: ActionBody, actor: str, say: str) -> None:
        """Declare an action after all."""
        super().add_action(name, body, {}, actor, say)
