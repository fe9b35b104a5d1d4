"""Header fields, typed: case-insensitive names, several values a name, in order."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from nbio.responses import ResponseError

HeaderItems: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]


class Headers(Mapping[str, str]):
    """A message's fields, read-only. `headers["Name"]` is the first value of that name.

    Bytes are Latin-1 text here, as HTTP has it, so every field survives the round trip.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        # Names in lower case.
        self.raw = list(raw)

    def __getitem__(self, name: str) -> str:
        wanted = name.lower().encode("latin-1")
        for key, value in self.raw:
            if key == wanted:
                return value.decode("latin-1")
        raise KeyError(name)

    def get_all(self, name: str) -> list[str]:
        """All values of that name, in the order received."""
        wanted = name.lower().encode("latin-1")
        return [value.decode("latin-1") for key, value in self.raw if key == wanted]

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        wanted = name.lower().encode("latin-1")
        return any(key == wanted for key, _ in self.raw)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key.decode("latin-1") for key, _ in self.raw))

    def __len__(self) -> int:
        return len({key for key, _ in self.raw})

    def multi_items(self) -> list[tuple[str, str]]:
        """Every field, also of names that come several times."""
        return [(key.decode("latin-1"), value.decode("latin-1")) for key, value in self.raw]

    def __repr__(self) -> str:
        return f"Headers({self.multi_items()!r})"


def encode(items: HeaderItems) -> list[tuple[bytes, bytes]]:
    """Encode a response's fields. Raises ResponseError for text that isn't Latin-1."""
    pairs = items.items() if isinstance(items, Mapping) else items
    try:
        return [(name.encode("ascii"), value.encode("latin-1")) for name, value in pairs]
    except UnicodeEncodeError as error:
        raise ResponseError(f"a header field isn't Latin-1 text: {error}") from None
