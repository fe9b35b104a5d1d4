"""F1, the published advice as it stands: an atomic flag, and the Close that wins it puts back.

The flag is on the pooled object and is reset when that is acquired. So the framework's Close, which
lost against the handler's, wins again once the reader has its next owner.
"""

from dataclasses import replace

from model.history.g1 import G1
from model.history.steps import GET, OPEN_FLAG, STORE_ENGINE, SWAP

F1 = replace(
    G1,
    name="F1",
    versions="the published advice, first reading",
    says="who wins the swap of the reader's closed flag frees, zeroes and puts",
    fields=(*G1.fields, "closed"),
    acquire=(GET, OPEN_FLAG, STORE_ENGINE),
    close=(SWAP, *G1.close),
)
