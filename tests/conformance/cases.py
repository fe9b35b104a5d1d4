"""What a conformance case is, and the words the tables are written in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Ends: TypeAlias = Literal["kept", "closed"]
Answer: TypeAlias = int | Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """Bytes that a client sends, and what must become of them.

    `answers` has an entry a response: a status where the server refuses and nothing reaches the
    application, or what the application's report and the response must contain. `ends` says
    whether the connection then goes on ("kept") or is closed. `cut` is for requests that reach
    the application and are refused in their body; `fin` has the client end its half.
    """

    name: str
    section: str
    data: bytes
    answers: tuple[Answer, ...]
    ends: Ends
    cut: bool = False
    fin: bool = False


def request(line: str, *fields: str, host: str | None = "h", body: bytes = b"") -> bytes:
    """A request with a Host field, unless there is to be none."""
    lines = [line, *([f"Host: {host}"] if host is not None else []), *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def get(*fields: str, target: str = "/", version: str = "1.1", host: str | None = "h") -> bytes:
    """A GET."""
    return request(f"GET {target} HTTP/{version}", *fields, host=host)


def post(*fields: str, body: bytes = b"", target: str = "/") -> bytes:
    """A POST; its framing is in the fields."""
    return request(f"POST {target} HTTP/1.1", *fields, body=body)


def chunks(body: bytes, *fields: str) -> bytes:
    """A POST whose chunked body is `body` as it stands."""
    return post("Transfer-Encoding: chunked", *fields, body=body)


def seen(**what: Any) -> Mapping[str, Any]:
    """The application was reached, and saw this."""
    return {"status": 200, **what}


def refused(section: str, status: int, **cases: bytes) -> list[Case]:
    """Requests that are refused in their head."""
    return [
        Case(name.replace("_", " "), section, data, (status,), "closed")
        for name, data in cases.items()
    ]


def cut(section: str, status: int, **cases: bytes) -> list[Case]:
    """Requests that are refused in their body, of which the application has heard."""
    return [
        Case(name.replace("_", " "), section, data, (status,), "closed", cut=True)
        for name, data in cases.items()
    ]


def taken(
    section: str, name: str, data: bytes, *answers: Answer, ends: Ends = "kept", fin: bool = False
) -> Case:
    """Requests that reach the application."""
    return Case(name, section, data, answers or (seen(),), ends, fin=fin)
