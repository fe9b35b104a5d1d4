"""F2w: generation and flag in one word, one swap. A Read that is under way is not covered by it."""

from dataclasses import replace

from model.history.f2 import F2
from model.history.steps import (
    FINALISE,
    GET,
    LOAD_GENERATION,
    NEXT_WORD,
    READ,
    READ_IF_VALID,
    STORE_ENGINE,
    SWAP_WORD,
)

F2W = replace(
    F2,
    name="F2w",
    says="F1 whose flag shares a word with the handle's generation",
    acquire=(GET, LOAD_GENERATION, NEXT_WORD, STORE_ENGINE),
    read=(READ_IF_VALID, *READ),
    close=(SWAP_WORD, *FINALISE),
)
