"""One message to one reader, another to the next: known disguises of framing, and near misses."""

from tests.conformance.cases import Case, chunks, cut, get, post, refused, request, seen, taken

NEXT = get(target="/next")
LAST = b"0\r\n\r\n"
SMUGGLED = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


def hidden(field: str) -> bytes:
    """A request with a body to whoever takes this for a Transfer-Encoding, or a length."""
    return post(field, body=SMUGGLED)


CASES: list[Case] = [
    # Names and values that only some take for framing.
    *refused(
        "RFC 9112, 6.1",
        400,
        a_vertical_tab_behind_the_name=hidden("Transfer-Encoding\x0b: chunked"),
        NUL_in_the_name=hidden("Transfer\0-Encoding: chunked"),
        an_accent_in_the_name=hidden("Transfer-\xcbncoding: chunked"),
        a_tab_behind_the_name=hidden("Transfer-Encoding\t: chunked"),
        NUL_behind_chunked=hidden("Transfer-Encoding: chunked\0"),
        NUL_before_chunked=hidden("Transfer-Encoding: \0chunked"),
        a_tab_behind_chunked=hidden("Transfer-Encoding: chunked\t"),
        a_form_feed_behind_chunked=hidden("Transfer-Encoding: chunked\x0c"),
        a_soft_hyphen_in_chunked=hidden("Transfer-Encoding: c\xadhunked"),
        the_Kelvin_sign_in_chunked=hidden("Transfer-Encoding: chun\xe2\x84\xaaed"),
        chunked_in_single_quotes=hidden("Transfer-Encoding: 'chunked'"),
        behind_bare_LF=hidden("A: b\nTransfer-Encoding: chunked"),
        behind_bare_CR=hidden("A: b\rTransfer-Encoding: chunked"),
        behind_a_fold=hidden("A: b\r\n Transfer-Encoding: chunked"),
        behind_NUL=hidden("A: b\0\r\nTransfer-Encoding: chunked"),
    ),
    *refused(
        "RFC 9112, 6.3",
        400,
        a_length_in_a_folded_line=post("Content-Length:", " 1", body=b"x"),
        a_length_that_goes_on_in_a_folded_line=post("Content-Length: 1", " 0", body=b"x"),
        a_length_and_an_empty_one=post("Content-Length: 1", "Content-Length:", body=b"x"),
        a_length_with_a_no_break_space=post("Content-Length: \xa01", body=b"x"),
        a_length_with_NUL=post("Content-Length: 1\0", body=b"x"),
        an_octal_length=post("Content-Length: 0o1", body=b"x"),
        no_head_but_a_second_request_behind_bare_LF=(
            b"GET / HTTP/1.1\r\nHost: h\n\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
        ),
    ),
    *(
        taken(
            "RFC 9110, 5.1",
            f"{name} is another field",
            post(f"{name}: {value}") + NEXT,
            seen(body=""),
            seen(target="/next"),
        )
        for name, value in (
            ("Content_Length", "5"),
            ("Transfer_Encoding", "chunked"),
            ("X-Transfer-Encoding", "chunked"),
            ("Content-Lengths", "5"),
        )
    ),
    # Sizes, extensions, trailers.
    *cut(
        "RFC 9112, 7.1",
        400,
        a_tab_before_a_size=chunks(b"\t1\r\nx\r\n" + LAST),
        a_vertical_tab_after_a_size=chunks(b"1\x0b\r\nx\r\n" + LAST),
        a_comma_after_a_size=chunks(b"1,1\r\nx\r\n" + LAST),
        a_size_in_quotes=chunks(b'"1"\r\nx\r\n' + LAST),
        a_size_beyond_ASCII=chunks(b"\xb1\r\nx\r\n" + LAST),
        a_space_after_the_last_size=chunks(b"1\r\nx\r\n0 \r\n\r\n"),
        LF_LF_after_the_last_size=chunks(b"1\r\nx\r\n0\n\n"),
        an_empty_line_before_the_chunks=chunks(b"\r\n1\r\nx\r\n" + LAST),
    ),
    *cut(
        "RFC 9112, 7.1.1",
        400,
        an_extension_with_CR_in_quotes=chunks(b'1;a="\r"\r\nx\r\n' + LAST),
        an_extension_with_LF_in_quotes=chunks(b'1;a="\n"\r\nx\r\n' + LAST),
        an_extension_with_a_control_in_quotes=chunks(b'1;a="\x01"\r\nx\r\n' + LAST),
        an_extension_behind_a_comma=chunks(b"1,a=b\r\nx\r\n" + LAST),
        LF_for_the_end_of_an_extension=chunks(b"1;a\nx\r\n" + LAST),
    ),
    *cut(
        "RFC 9112, 7.1.2",
        400,
        a_space_in_the_name_of_a_trailer=chunks(b"0\r\nA b: c\r\n\r\n"),
        a_trailer_in_a_folded_line=chunks(b"0\r\n A: b\r\n\r\n"),
        a_trailer_with_DEL=chunks(b"0\r\nA: \x7f\r\n\r\n"),
        a_trailer_of_spaces_and_a_control=chunks(b"0\r\nA:" + b" " * 9000 + b"\x01\r\n\r\n"),
    ),
    # Request lines.
    *refused(
        "RFC 9112, 2.3",
        400,
        more_digits_before_the_version=request("GET / HTTP/01.1"),
        a_letter_behind_the_version=request("GET / HTTP/1.1x"),
        HTTPS_for_HTTP=request("GET / HTTPS/1.1"),
        a_backslash_in_the_version=request("GET / HTTP\\1.1"),
        a_space_in_the_version=request("GET / HTTP/1. 1"),
    ),
    *refused(
        "RFC 9112, 3.2",
        400,
        empty_userinfo=get(target="http://@h/"),
        half_an_IPv6_authority=get(target="http://[::1/"),
        two_ports_in_the_authority=get(target="http://h:80:80/"),
        only_a_port_in_the_authority=get(target="http://:80/"),
        a_percent_in_the_authority=get(target="http://h%/"),
        a_backslash_in_the_authority=get(target="http://h\\x/"),
        a_query_for_an_authority=get(target="http://?a"),
        an_asterisk_with_a_query=request("OPTIONS *?a HTTP/1.1"),
        backslashes=get(target="\\\\h\\a"),
        a_zone_in_an_IPv6_Host=get(host="[fe80::1%25eth0]"),
        an_IPvFuture_Host_of_nothing=get(host="[v1.]"),
        a_pipe_in_Host=get(host="a|b"),
        a_caret_in_Host=get(host="a^b"),
        a_colon_for_Host=get(host=":"),
        a_tab_in_Host=get(host="a\tb"),
        an_IPv4_Host_in_brackets=get(host="[1.2.3.4]"),
    ),
    *(
        taken(
            "RFC 9112, 3.2.2",
            f"the authority of {target}",
            get(target=target),
            seen(host=[host], target="/a"),
        )
        for target, host in (
            ("http://[::1]:81/a", "[::1]:81"),
            ("http://h:/a", "h:"),
            ("HtTp://H.Example./a", "H.Example."),
        )
    ),
    taken("RFC 9112, 3.2.1", "an encoded NUL", get(target="/%00"), seen(target="/%00")),
    # Options that are others, and expectations.
    *(
        taken("RFC 9112, 9.6", f"Connection: {value}", get(f"Connection: {value}"))
        for value in ("close;x", '"close"', "xclose", "close=1", "clo se")
    ),
    taken("RFC 9112, 9.6", "upgrade and close", get("Connection: upgrade, close"), ends="closed"),
    taken(
        "RFC 9112, 9.3",
        "HTTP/1.0 with keep-alive in a list",
        get("Connection: a, Keep-Alive", version="1.0"),
        seen(has={"connection": "keep-alive"}),
    ),
    *refused(
        "RFC 9110, 15.5.18",
        417,
        an_expectation_with_a_value=post("Expect: 100-continue=1", "Content-Length: 1", body=b"x"),
        an_expectation_in_quotes=post('Expect: "100-continue"', "Content-Length: 1", body=b"x"),
    ),
    taken(
        "RFC 9110, 10.1.1",
        "an answer without the 100 that was waited for",
        post("Expect: 100-continue", "Content-Length: 5", target="/unread"),
        {"status": 200, "has": {"connection": "close"}},
        ends="closed",
    ),
]
