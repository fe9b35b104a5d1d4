"""Header fields, typed: case-insensitive names, several values a name, in order."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeAlias

from nbio.errors import ResponseError

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

    # What common fields mean.

    def get_list(self, name: str) -> list[str]:
        """The members of a list field (RFC 9110, 5.6.1), over all its lines; empty ones left out.

        Not for fields whose members hold commas in quotes or dates.
        """
        members = (
            member.strip(" \t") for value in self.get_all(name) for member in value.split(",")
        )
        return [member for member in members if member]

    def get_int(self, name: str) -> int | None:
        """A field that is a number without sign; None without the field.

        Raises ValueError when it is something else.
        """
        value = self.get(name)
        if value is not None and not (value.isascii() and value.isdigit()):
            raise ValueError(f"{name} is no number: {value!r}")
        return None if value is None else int(value)

    def get_date(self, name: str) -> datetime | None:
        """A field that is a date (RFC 9110, 5.6.7), in UTC; None without the field.

        Raises ValueError when it is something else.
        """
        value = self.get(name)
        if value is None:
            return None
        found = parsedate_to_datetime(value)
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

    @property
    def content_length(self) -> int | None:
        """Content-Length; None for a message without."""
        return self.get_int("content-length")

    @property
    def media_type(self) -> str:
        """Content-Type in lower case, without parameters; "" for a message without."""
        return self.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset of Content-Type, in lower case; None without one."""
        for parameter in self.get("content-type", "").split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip('"').lower()
        return None

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of a request, as sent (RFC 6265, 4.2); of one name, the first."""
        found: dict[str, str] = {}
        for value in self.get_all("cookie"):
            for pair in value.split(";"):
                name, equals, text = pair.strip(" \t").partition("=")
                if equals:
                    found.setdefault(name, text)
        return found

    def __repr__(self) -> str:
        return f"Headers({self.multi_items()!r})"


def encode(items: HeaderItems) -> list[tuple[bytes, bytes]]:
    """Encode a response's fields. Raises ResponseError for text that isn't Latin-1."""
    pairs = items.items() if isinstance(items, Mapping) else items
    try:
        return [(name.encode("ascii"), value.encode("latin-1")) for name, value in pairs]
    except UnicodeEncodeError as error:
        raise ResponseError(f"a header field isn't Latin-1 text: {error}") from None
