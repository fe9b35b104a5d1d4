"""F1b, the published advice read otherwise: G4 with an atomic flag; only the framework puts."""

from dataclasses import replace

from model.history.g4 import G4
from model.history.steps import SWAP

F1B = replace(
    G4,
    name="F1b",
    versions="the published advice, second reading",
    says="G4 whose Close swaps the flag; Put only in releaseRequest",
    close=(SWAP, *G4.close[2:]),
)
