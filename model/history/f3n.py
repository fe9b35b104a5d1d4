"""F3n, a negative control: F3 with a lease that counts readers. Two free the same buffer."""

from dataclasses import replace

from model.history.f3 import F3
from model.history.steps import SHARED_LEASE

F3N = replace(
    F3,
    name="F3n",
    versions="a negative control",
    says="F3 whose read lease is shared",
    read=(SHARED_LEASE, *F3.read[1:]),
)
