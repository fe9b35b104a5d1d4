"""F2: F1 and a generation in the handle. Comparing it and swapping the flag are two steps."""

from dataclasses import replace

from model.history.f1 import F1
from model.history.steps import (
    CLOSE_IF_MINE,
    GET,
    LOAD_GENERATION,
    NEXT_GENERATION,
    OPEN_FLAG,
    READ_IF_MINE,
    STORE_ENGINE,
)

F2 = replace(
    F1,
    name="F2",
    versions="a repair",
    says="F1, and Close and Read first compare the handle's generation",
    fields=(*F1.fields, "generation"),
    acquire=(GET, LOAD_GENERATION, NEXT_GENERATION, OPEN_FLAG, STORE_ENGINE),
    read=(READ_IF_MINE, *F1.read),
    close=(CLOSE_IF_MINE, *F1.close),
)
