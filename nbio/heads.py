"""Request heads: bytes in, a RequestHead or a Refusal out. No socket, no clock.

The tokenizer is llhttp (through httptools), which is fast and sees to the grammar of field
lines. What it leaves open is closed here: the request line, the target, Host, and everything
that says where the body ends, since two readings of that are a smuggled request.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import httptools

from nbio.errors import Refusal
from nbio.targets import PATH, QUERY, split_absolute, valid_host


class RequestHead:
    """A request's head, checked.

    `method` is text, `path` and `query` are the target's bytes as sent (of an absolute-form
    target the part after the authority), `version` is "1.0" or "1.1". Field names are lower
    case, values without surrounding whitespace, in the order received. `length` is the body's
    declared number of bytes, 0 without a body; `chunked` bodies have a length of 0 here.
    `trailers` are the fields after a chunked body, as `headers`; there are none before its end.
    """

    __slots__ = (
        "chunked",
        "expects",
        "headers",
        "keep_alive",
        "length",
        "method",
        "path",
        "query",
        "trailers",
        "version",
        "websocket",
    )
    # Of the class, so that it costs the many that aren't nothing.
    https = False

    def __init__(
        self,
        method: str,
        path: bytes,
        query: bytes,
        version: str,
        headers: list[tuple[bytes, bytes]],
        length: int = 0,
        chunked: bool = False,
        expects: bool = False,
        keep_alive: bool = True,
        websocket: bool = False,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.version = version
        self.headers = headers
        self.length = length
        self.chunked = chunked
        # Never merged into `headers`: a trailer may not change what was decided by the head.
        self.trailers: Sequence[tuple[bytes, bytes]] = ()
        # Whether the client waits for a 100 (Continue) before it sends the body.
        self.expects = expects
        self.keep_alive = keep_alive
        # Whether it asks to go on as a WebSocket, which a server may ignore.
        self.websocket = websocket

    def again(self, method: str, path: bytes, query: bytes) -> "RequestHead":
        """Another request with the same fields; its list is its own."""
        return RequestHead(
            method,
            path,
            query,
            self.version,
            self.headers.copy(),
            self.length,
            self.chunked,
            self.expects,
            self.keep_alive,
            self.websocket,
        )

    @property
    def has_body(self) -> bool:
        """Whether the head announces a body of at least one byte, or of unknown length."""
        return self.chunked or self.length > 0


class HttpsHead(RequestHead):
    """A head whose target is an absolute https URI: not for anybody to ask for over plain HTTP."""

    __slots__ = ()
    https = True


TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

# What nearly every request line looks like: origin-form, a version that is served as such.
# The path ends at the first `?`.
_LINE: Final = re.compile(
    rb"([A-Z\-]+) (/" + PATH + rb")(?:\?(" + QUERY + rb"))? HTTP/(1\.[01])\r\n"
)
_ANY_LINE: Final = re.compile(rb"(" + TOKEN + rb") ([!-~]+) HTTP/([0-9])\.([0-9])\r\n")

# The fields that say how the message is framed, where it goes, or what becomes of the
# connection; each is looked at one by one.
_SPECIAL: Final = frozenset(
    [
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"expect",
        # Of no meaning here; but llhttp changes its state for them.
        b"proxy-connection",
        b"upgrade",
    ]
)
_LENGTH: Final = re.compile(rb"[0-9]+")
_ORIGIN: Final = re.compile(rb"/" + PATH + rb"(?:\?" + QUERY + rb")?")
_VERSIONS: Final = {b"1.1": "1.1", b"1.0": "1.0"}

NO_CONNECT: Final = "CONNECT is for proxies"

_KNOWN = 512
_SEEN = 4096
_KNOWN_SIZE = 2048
"""So many field sections, each at most so many bytes, are remembered with what they mean."""


class HeadParser:
    """Parses complete heads, one at a time, for all connections of a server.

    A head is parsed at one go, so a parser per connection would only be memory. llhttp would
    wait for the body of a message that has one; then it is thrown away, not fed.

    `max_line`, `max_fields` and `max_body` are a request line's bytes, a head's number of
    fields and a body's bytes.

    A client's requests mostly differ in their request line only. So the field sections of
    HTTP/1.1 requests that were found good are remembered, byte for byte, and what comes again is
    not tokenized again: equal bytes mean the same, whoever sends them. What is refused is not
    remembered, nor is anything about the request line.
    """

    def __init__(self, *, max_line: int, max_fields: int, max_body: int) -> None:
        self.max_line = max_line
        self.max_fields = max_fields
        self.max_body = max_body
        self._methods: dict[bytes, str] = {}
        self._known: dict[bytes, RequestHead] = {}
        # The hashes of those that came once.
        self._seen: set[int] = set()
        self._headers: list[tuple[bytes, bytes]] = []
        self._special: list[tuple[bytes, bytes]] = []
        self._parser = httptools.HttpRequestParser(self)

    # llhttp calls this for each field line.
    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        field = (name, value.strip(b" \t"))
        self._headers.append(field)
        if name in _SPECIAL:
            self._special.append(field)

    def parse(self, head: bytes) -> RequestHead:
        """Parse a head, from the request line to the empty line.

        Raises Refusal with the status that RFC 9110 and 9112 give for what is wrong.
        """
        authority = b""
        kind = RequestHead
        match = _LINE.match(head)
        if match is not None:
            method, path, query, version = match.groups(b"")
            start = match.end()
            if start - 2 > self.max_line:
                raise Refusal(414, f"the request line is longer than {self.max_line} bytes")
            fields = head[start:]
            known = self._known.get(fields)
            if known is not None and version == b"1.1" and method in self._methods:
                return known.again(self._methods[method], path, query)
        else:
            fields = b""
            method, target, version, kind, authority, head = self._odd_line(head)
            path, _, query = target.partition(b"?")
        headers: list[tuple[bytes, bytes]] = []
        self._headers = headers
        self._special = []
        try:
            self._parser.feed_data(head)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Perhaps only because of what the message before left in the parser.
            self._renew()
            self._tokenize(head)
            headers = self._headers
        if len(headers) > self.max_fields:
            self._renew()
            raise Refusal(431, f"the head has more than {self.max_fields} fields")
        name = self._methods.get(method)
        if name is None:
            # llhttp knew it, so these can't be many.
            name = method.decode()
            if method == b"CONNECT":
                raise Refusal(501, NO_CONNECT)
            if method != b"TRACE":
                # Whose fields are looked at each time: they may not announce content.
                self._methods[method] = name
        request = kind(name, path, query, _VERSIONS[version], headers)
        special = self._special
        if len(special) == 1 and special[0][0] == b"host" and version == b"1.1":
            if not valid_host(special[0][1]):
                raise Refusal(400, "the Host field's value is no host")
        else:
            # Nothing of this message's, least of all a body to wait for, may be left to the next,
            # which may be another client's.
            self._renew()
            self._frame(request, special)
        if authority:
            request.headers = override_host(headers, authority)
        elif fields and version == b"1.1" and len(fields) <= _KNOWN_SIZE:
            self._remember(fields, request)
        return request

    def _remember(self, fields: bytes, request: RequestHead) -> None:
        """Remember what comes for the second time: most of what is ever different never does."""
        mark = hash(fields)
        if mark not in self._seen:
            if len(self._seen) >= _SEEN:
                self._seen.clear()
            self._seen.add(mark)
            return
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[fields] = request.again("", b"", b"")

    def _renew(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    def _tokenize(self, head: bytes) -> None:
        """Feed a fresh parser; raise a Refusal when it objects."""
        self._headers = []
        self._special = []
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            # An offer to switch protocols, which a server may ignore (RFC 9110, 7.8).
            self._renew()
        except httptools.HttpParserError as error:
            self._renew()
            raise objection(error) from None

    def _odd_line(self, head: bytes) -> tuple[bytes, bytes, bytes, type[RequestHead], bytes, bytes]:
        """Method, target, version, kind, authority, and the head as llhttp should see it."""
        end = head.index(b"\r\n") + 2
        if end - 2 > self.max_line:
            raise Refusal(414, f"the request line is longer than {self.max_line} bytes")
        match = _ANY_LINE.match(head)
        if match is None or match.end() != end:
            raise Refusal(400, "malformed request line")
        method, target, major, minor = match.groups()
        if major != b"1":
            raise Refusal(505, f"HTTP/{major.decode()} isn't served here, only HTTP/1")
        if method == b"CONNECT":
            raise Refusal(501, NO_CONNECT)
        version = b"1.0" if minor == b"0" else b"1.1"
        authority, kind = b"", RequestHead
        if target != b"*" or method != b"OPTIONS":
            split = (b"", target) if _ORIGIN.fullmatch(target) else split_absolute(target)
            if split is None:
                raise Refusal(400, "the request target isn't one")
            if split[0] and target[:5].lower() == b"https":
                kind = HttpsHead
            authority, target = split
            # Without path and query OPTIONS is about the server (RFC 9110, 4.2.3).
            target = target or (b"*" if method == b"OPTIONS" else b"/")
        line = b"%b %b HTTP/%b\r\n" % (method, target, version)
        return method, target, version, kind, authority, line + head[end:]

    def _frame(self, request: RequestHead, special: list[tuple[bytes, bytes]]) -> None:
        """Find out where the body ends, and what becomes of the connection."""
        hosts = 0
        length: bytes | None = None
        coding: bytes | None = None
        for name, value in special:
            if name == b"host":
                hosts += 1
                if not valid_host(value):
                    raise Refusal(400, "the Host field's value is no host")
            elif name == b"content-length":
                if length is not None:
                    raise Refusal(400, "Content-Length is given twice")
                length = value
            elif name == b"transfer-encoding":
                coding = value if coding is None else coding + b"," + value
            elif name == b"expect":
                if set(options([value])) - {b"100-continue"}:
                    raise Refusal(417, "the only expectation that is met is 100-continue")
                request.expects = request.expects or (value != b"" and request.version == "1.1")
            elif name == b"upgrade" and b"websocket" in options([value]):
                request.websocket = request.version == "1.1"
        if hosts > 1 or (hosts == 0 and request.version == "1.1"):
            raise Refusal(400, "a request has one Host field")
        if coding is not None:
            if length is not None:
                raise Refusal(400, "both Transfer-Encoding and Content-Length are given")
            check_coding(coding, request.version)
            request.chunked = True
        elif length is not None:
            request.length = self._length(length)
        if request.method == "TRACE" and request.has_body:
            raise Refusal(400, "a TRACE request has no content")
        if request.websocket:
            wishes = options([value for name, value in special if name == b"connection"])
            request.websocket = b"upgrade" in wishes
        request.keep_alive = persists(request.version, special)
        request.expects = request.expects and request.has_body

    def _length(self, value: bytes) -> int:
        if _LENGTH.fullmatch(value) is None:
            raise Refusal(400, "Content-Length is no number")
        digits = value.lstrip(b"0") or b"0"
        if len(digits) > 18 or (self.max_body and int(digits) > self.max_body):
            raise Refusal(413, f"the body is longer than {self.max_body or 10**18} bytes")
        return int(digits)


def objection(error: Exception) -> Refusal:
    """What llhttp objects to, as a status."""
    why = str(error)
    # Methods of RTSP and the like, which llhttp knows, aren't known to HTTP.
    odd = "Invalid method" in why or "Connection Preface" in why
    if odd or isinstance(error, httptools.HttpParserInvalidMethodError):
        return Refusal(501, "the method isn't known")
    if "overflow" in why:
        return Refusal(413, "the Content-Length is beyond any limit")
    return Refusal(400, f"malformed head: {why}")


def check_coding(value: bytes, version: str) -> None:
    """Refuse any Transfer-Encoding but `chunked`, and that in HTTP/1.0 too (RFC 9112, 6.1)."""
    codings = [item.strip(b" \t").lower() for item in value.split(b",")]
    if version == "1.0":
        raise Refusal(400, "HTTP/1.0 has no Transfer-Encoding")
    if codings == [b"chunked"]:
        return
    if codings[-1] != b"chunked" or codings.count(b"chunked") > 1 or b"" in codings:
        raise Refusal(400, "a request's Transfer-Encoding ends in `chunked`, once")
    raise Refusal(501, "the only transfer coding that is served is `chunked`")


def persists(version: str, special: list[tuple[bytes, bytes]]) -> bool:
    """Whether the client allows another request on this connection (RFC 9112, 9.3)."""
    wishes = options([value for name, value in special if name == b"connection"])
    if b"close" in wishes:
        return False
    return version == "1.1" or b"keep-alive" in wishes


def options(values: Iterable[bytes]) -> list[bytes]:
    """The members of a list field, in lower case; empty ones don't count (RFC 9110, 5.6.1)."""
    members = [member.strip(b" \t").lower() for value in values for member in value.split(b",")]
    return [member for member in members if member]


def override_host(
    headers: list[tuple[bytes, bytes]], authority: bytes
) -> list[tuple[bytes, bytes]]:
    """The authority of an absolute-form target replaces Host (RFC 9112, 3.2.2)."""
    return [(b"host", authority), *(field for field in headers if field[0] != b"host")]
