"""F3x, a negative control: F3 whose last lease holder doesn't finalise. Things are lost."""

from dataclasses import replace

from model.history.f3 import F3
from model.history.steps import DROP_LEASE, LEASE, LEASED_READ

F3X = replace(
    F3,
    name="F3x",
    versions="a negative control",
    says="F3 whose last lease holder doesn't finalise",
    read=(LEASE, *LEASED_READ, DROP_LEASE),
)
