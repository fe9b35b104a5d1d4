"""Where a request's body ends (RFC 9112, 6 and 7), and what a message may hold of it."""

from tests.conformance.cases import Case, chunks, cut, get, post, refused, request, seen, taken

NEXT = get(target="/next")
LAST = b"0\r\n\r\n"
SMUGGLED = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


def length(value: str, body: bytes = b"x") -> bytes:
    return post(f"Content-Length: {value}", body=body)


def coding(value: str) -> bytes:
    return post(f"Transfer-Encoding: {value}", body=SMUGGLED)


CASES: list[Case] = [
    # Content-Length.
    *refused(
        "RFC 9112, 6.3",
        400,
        Content_Length_with_a_sign=length("+1"),
        a_negative_Content_Length=length("-1"),
        a_hexadecimal_Content_Length=length("0x1"),
        a_Content_Length_of_letters=length("a"),
        a_Content_Length_with_a_point=length("1.0"),
        a_Content_Length_with_an_exponent=length("1e1"),
        a_Content_Length_with_an_underscore=length("1_0"),
        a_Content_Length_with_a_space=length("1 1"),
        a_Content_Length_with_a_semicolon=length("1;a"),
        an_empty_Content_Length=length(""),
        a_list_of_equal_Content_Lengths=length("1, 1"),
        a_list_of_equal_Content_Lengths_without_space=length("1,1"),
        a_list_of_different_Content_Lengths=length("1, 2"),
        a_list_with_an_empty_member=length("1,"),
        a_quoted_Content_Length=length('"1"'),
        a_Content_Length_in_full_width_digits=length("\xef\xbc\x91"),
        a_Content_Length_in_superscript=length("\xb9"),
        a_Content_Length_with_a_vertical_tab=length("\x0b1"),
        two_equal_Content_Lengths=post("Content-Length: 1", "Content-Length: 1", body=b"x"),
        two_different_Content_Lengths=post("Content-Length: 1", "Content-Length: 2", body=b"xx"),
        two_Content_Lengths_in_other_cases=post(
            "content-length: 1", "CONTENT-LENGTH: 1", body=b"x"
        ),
        a_bad_Content_Length_of_a_GET=get("Content-Length: a"),
        Content_Length_twice_in_HTTP_1_0=get(
            "Content-Length: 0", "Content-Length: 0", version="1.0"
        ),
    ),
    *refused(
        "RFC 9110, 15.5.14",
        413,
        a_large_Content_Length=length("1073741825"),
        a_Content_Length_of_64_bits=length("18446744073709551615"),
        a_Content_Length_of_65_bits=length("18446744073709551617"),
        an_endless_Content_Length=length("9" * 400),
    ),
    taken("RFC 9110, 8.6", "a body", length("5", b"hello") + NEXT, seen(body="hello"), seen()),
    taken("RFC 9110, 8.6", "a length of zero", length("0", b"") + NEXT, seen(body=""), seen()),
    taken("RFC 9110, 8.6", "leading zeros", length("0" * 30 + "5", b"hello"), seen(body="hello")),
    taken("RFC 9110, 5.5", "a length in spaces", length("\t 5 \t", b"hello"), seen(body="hello")),
    taken(
        "RFC 9112, 6.3", "no length, no body", post() + NEXT, seen(body=""), seen(target="/next")
    ),
    taken(
        "RFC 9110, 9.3.1",
        "a GET with a body",
        request("GET / HTTP/1.1", "Content-Length: 2", body=b"hi") + NEXT,
        seen(method="GET", body="hi"),
        seen(target="/next"),
    ),
    taken(
        "RFC 9112, 6.3",
        "a body that looks like a request",
        length(str(len(NEXT)), NEXT) + get(target="/third"),
        seen(body=NEXT.decode()),
        seen(target="/third"),
    ),
    taken("RFC 9112, 6.3", "octets of any value", length("4", b"\0\r\n\xff"), seen(size=4)),
    # Transfer-Encoding.
    *refused(
        "RFC 9112, 6.1",
        400,
        Content_Length_and_Transfer_Encoding=post(
            "Content-Length: 5", "Transfer-Encoding: chunked", body=SMUGGLED
        ),
        Transfer_Encoding_and_Content_Length=post(
            "Transfer-Encoding: chunked", "Content-Length: 5", body=SMUGGLED
        ),
        Transfer_Encoding_and_a_length_of_zero=post(
            "Transfer-Encoding: chunked", "Content-Length: 0", body=SMUGGLED
        ),
        Transfer_Encoding_between_Content_Lengths=post(
            "Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: 5", body=SMUGGLED
        ),
        identity_and_Content_Length=post(
            "Transfer-Encoding: identity", "Content-Length: 1", body=b"x"
        ),
        Transfer_Encoding_in_HTTP_1_0=request(
            "POST / HTTP/1.0", "Transfer-Encoding: chunked", body=SMUGGLED
        ),
        Transfer_Encoding_in_HTTP_1_0_keep_alive=request(
            "POST / HTTP/1.0", "Connection: keep-alive", "Transfer-Encoding: chunked", body=SMUGGLED
        ),
    ),
    *refused(
        "RFC 9112, 6.3",
        400,
        gzip_alone=coding("gzip"),
        identity=coding("identity"),
        chunked_and_then_gzip=coding("chunked, gzip"),
        chunked_and_then_identity=coding("chunked, identity"),
        chunked_twice=coding("chunked, chunked"),
        chunked_in_two_fields=post(
            "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=SMUGGLED
        ),
        chunked_and_then_identity_in_two_fields=post(
            "Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=SMUGGLED
        ),
        a_word_that_ends_in_chunked=coding("xchunked"),
        a_word_that_begins_with_chunked=coding("chunkedx"),
        chunked_with_a_parameter=coding("chunked;q=1"),
        chunked_in_quotes=coding('"chunked"'),
        chunked_in_parts=coding("chun ked"),
        chunked_after_a_vertical_tab=coding("\x0bchunked"),
        chunked_after_a_no_break_space=coding("\xa0chunked"),
        chunked_after_a_colon=coding(": chunked"),
        an_empty_Transfer_Encoding=coding(""),
        a_comma=coding(","),
        chunked_and_a_comma=coding("chunked,"),
        a_comma_and_chunked=coding(", chunked"),
        an_empty_field_and_chunked=post(
            "Transfer-Encoding:", "Transfer-Encoding: chunked", body=SMUGGLED
        ),
        gzip_of_a_GET=get("Transfer-Encoding: gzip"),
    ),
    *refused(
        "RFC 9112, 6.1",
        501,
        gzip_and_then_chunked=coding("gzip, chunked"),
        an_unknown_coding_and_then_chunked=coding("frob, chunked"),
        identity_and_then_chunked=coding("identity, chunked"),
        gzip_and_chunked_in_two_fields=post(
            "Transfer-Encoding: gzip", "Transfer-Encoding: chunked", body=SMUGGLED
        ),
    ),
    # The chunked coding.
    taken(
        "RFC 9112, 7.1",
        "chunks",
        chunks(b"5\r\nhello\r\n6\r\n world\r\n" + LAST) + NEXT,
        seen(body="hello world"),
        seen(target="/next"),
    ),
    taken("RFC 9112, 7.1", "no chunk but the last", chunks(LAST) + NEXT, seen(body=""), seen()),
    taken(
        "RFC 9112, 7",
        "the coding in capitals",
        post("Transfer-Encoding: CHUNKED", body=b"1\r\nx\r\n" + LAST),
        seen(body="x"),
    ),
    *(
        taken(
            "RFC 9112, 7.1",
            f"a size of {size}",
            chunks(size.encode() + b"\r\n0123456789\r\n" + LAST),
            seen(body="0123456789"),
        )
        for size in ("a", "A", "0a", "000000000000000000000000A")
    ),
    taken("RFC 9112, 7.1", "a last chunk of many zeros", chunks(b"1\r\nx\r\n0000\r\n\r\n"), seen()),
    taken(
        "RFC 9112, 7.1",
        "a chunk of line ends",
        chunks(b"9\r\n\r\n0\r\n\r\n\r\n\r\n" + LAST) + NEXT,
        seen(body="\r\n0\r\n\r\n\r\n"),
        seen(target="/next"),
    ),
    *(
        taken(
            "RFC 9112, 7.1.1",
            f"an extension {ext}",
            chunks(b"1" + ext.encode() + b"\r\nx\r\n0" + ext.encode() + b"\r\n\r\n"),
            seen(body="x"),
        )
        for ext in (
            ";a",
            ";a=b",
            ";a=b;c;d=e",
            ';a="b c"',
            ';a="b;\\"c\\""',
            ' ; a = "b"',
            "\t;a",
            ';a=""',
        )
    ),
    *cut(
        "RFC 9112, 7.1",
        400,
        an_empty_size=chunks(b"\r\nx\r\n" + LAST),
        a_size_of_letters=chunks(b"g\r\nx\r\n" + LAST),
        a_size_with_0x=chunks(b"0x1\r\nx\r\n" + LAST),
        a_size_with_a_plus=chunks(b"+1\r\nx\r\n" + LAST),
        a_size_with_a_minus=chunks(b"-1\r\nx\r\n" + LAST),
        a_size_with_an_underscore=chunks(b"1_0\r\n0123456789abcdef\r\n" + LAST),
        a_size_with_a_point=chunks(b"1.0\r\nx\r\n" + LAST),
        a_size_with_an_h=chunks(b"1h\r\nx\r\n" + LAST),
        a_space_before_a_size=chunks(b" 1\r\nx\r\n" + LAST),
        a_space_after_a_size=chunks(b"1 \r\nx\r\n" + LAST),
        a_tab_after_a_size=chunks(b"1\t\r\nx\r\n" + LAST),
        a_space_in_a_size=chunks(b"1 0\r\n0123456789abcdef\r\n" + LAST),
        a_size_of_68_bits=chunks(b"10000000000000001\r\nx\r\n" + LAST),
        a_size_of_many_digits=chunks(b"f" * 64 + b"\r\nx\r\n" + LAST),
        a_size_in_full_width_digits=chunks("１".encode() + b"\r\nx\r\n" + LAST),
        bare_LF_after_a_size=chunks(b"1\nx\r\n" + LAST),
        bare_CR_after_a_size=chunks(b"1\rx\r\n" + LAST),
        CR_CR_LF_after_a_size=chunks(b"1\r\r\nx\r\n" + LAST),
        NUL_after_a_size=chunks(b"1\0\r\nx\r\n" + LAST),
        bare_LF_after_a_chunk=chunks(b"1\r\nx\n" + LAST),
        bare_CR_after_a_chunk=chunks(b"1\r\nx\r" + LAST),
        nothing_after_a_chunk=chunks(b"1\r\nx" + LAST),
        a_chunk_longer_than_its_size=chunks(b"1\r\nxy\r\n" + LAST),
        a_chunk_shorter_than_its_size=chunks(b"3\r\nx\r\n" + LAST),
        more_line_ends_after_a_chunk=chunks(b"1\r\nx\r\n\r\n" + LAST),
        bare_LF_after_the_last_chunk=chunks(b"1\r\nx\r\n0\n\r\n"),
        bare_LF_at_the_end=chunks(b"1\r\nx\r\n0\r\n\n"),
        a_body_that_is_not_chunked=chunks(b"hello world\r\n"),
    ),
    *cut(
        "RFC 9112, 7.1.1",
        400,
        an_extension_without_name=chunks(b"1;\r\nx\r\n" + LAST),
        an_extension_without_value=chunks(b"1;a=\r\nx\r\n" + LAST),
        an_extension_of_two_words=chunks(b"1;a b\r\nx\r\n" + LAST),
        an_extension_with_an_open_quote=chunks(b'1;a="b\r\nx\r\n' + LAST),
        an_extension_with_a_line_end_in_quotes=chunks(b'1;a="\r\n"\r\nx\r\n' + LAST),
        an_extension_with_bare_LF=chunks(b"1;a\nb\r\nx\r\n" + LAST),
        an_extension_with_bare_CR=chunks(b"1;a\rb\r\nx\r\n" + LAST),
        an_extension_with_NUL=chunks(b"1;a\0\r\nx\r\n" + LAST),
        an_extension_without_semicolon=chunks(b"1 a\r\nx\r\n" + LAST),
        a_space_after_an_extension=chunks(b"1;a \r\nx\r\n" + LAST),
        a_long_extension=chunks(b"1;" + b"a" * 5000 + b"\r\nx\r\n" + LAST),
        a_long_extension_without_end=chunks(b"1;" + b"a" * 5000),
        extensions_without_end=chunks((b"1;" + b"a" * 999 + b"\r\nx\r\n") * 30 + LAST),
    ),
    *cut(
        "RFC 9110, 15.5.14",
        413,
        a_chunk_larger_than_any_body=chunks(b"7fffffff\r\nx"),
        a_chunk_of_64_bits=chunks(b"ffffffffffffffff\r\nx"),
    ),
    # Trailers.
    taken(
        "RFC 9112, 7.1.2",
        "trailers",
        chunks(b"1\r\nx\r\n0\r\nA: b\r\nC:\td \r\n\r\n") + NEXT,
        seen(body="x", trailers=[["a", "b"], ["c", "d"]]),
        seen(target="/next"),
    ),
    taken(
        "RFC 9110, 6.5.1",
        "trailers aren't merged into the head",
        chunks(b"0\r\nA: b\r\n\r\n"),
        seen(fields=[["host", "h"], ["transfer-encoding", "chunked"]]),
    ),
    *(
        taken(
            "RFC 9110, 6.5.1",
            f"a trailer that makes no sense: {name}",
            chunks(f"1\r\nx\r\n0\r\n{name}: 5\r\nA: b\r\n\r\n".encode()) + NEXT,
            seen(body="x", trailers=[["a", "b"]], host=["h"]),
            seen(target="/next"),
        )
        for name in (
            "Content-Length",
            "Transfer-Encoding",
            "Host",
            "Authorization",
            "Cookie",
            "Content-Type",
            "Connection",
            "Expect",
            "TE",
            "Trailer",
            "Date",
            "Location",
            "Vary",
            "X-Forwarded-Port",
            "X-Real-IP",
        )
    ),
    *cut(
        "RFC 9112, 7.1.2",
        400,
        a_trailer_without_colon=chunks(b"0\r\nA\r\n\r\n"),
        a_trailer_without_name=chunks(b"0\r\n: a\r\n\r\n"),
        a_space_before_the_colon_of_a_trailer=chunks(b"0\r\nA : b\r\n\r\n"),
        a_folded_trailer=chunks(b"0\r\nA: b\r\n c\r\n\r\n"),
        a_trailer_with_bare_LF=chunks(b"0\r\nA: b\nC: d\r\n\r\n"),
        a_trailer_with_bare_CR=chunks(b"0\r\nA: b\rC: d\r\n\r\n"),
        a_trailer_with_NUL=chunks(b"0\r\nA: \0\r\n\r\n"),
        a_trailer_with_a_control=chunks(b"0\r\nA: \x01\r\n\r\n"),
        a_request_for_a_trailer=chunks(b"0\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ),
    *cut(
        "RFC 6585, 5",
        431,
        a_long_trailer=chunks(b"0\r\nA: " + b"b" * 20000 + b"\r\n\r\n"),
        many_trailers=chunks(b"0\r\n" + b"A: b\r\n" * 200 + b"\r\n"),
    ),
]
