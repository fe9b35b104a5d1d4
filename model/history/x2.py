"""X2: the request struct is pooled as well, and a leftover evaluates ``req.Body`` late.

The readers are the final design's, which hold whatever a leftover does with *its* handle (F3 in
configuration C). But this leftover takes no handle while the handler runs: it keeps the request,
and asks it for its body each time. The request was recycled by then: its body is nil, or is the
next request's, and the handle that it gives is valid.
"""

from dataclasses import replace

from model.history.at import At
from model.history.f3 import F3
from model.history.script import READER, Line
from nbio.verify.expr import any_of


def _get_struct(a: At) -> None:
    s = a.s
    # Structs that nobody has had yet are alike: the first of them stands for all.
    for j in range(1, s.object.size):
        had = [any_of(*(s.struct[q] == i for q in range(s.request.size))) for i in range(j + 1)]
        a.do.when((a.o != j) | had[j] | ~any_of(*(~h for h in had[:j])))
    a.do.when(s.idle[a.o])
    a.do.set(s.idle[a.o], False)
    a.do.set(s.struct[a.r], a.o)


def _store_body(a: At) -> None:
    a.do.set(a.s.has[a.s.struct[a.r]], a.r)


def _empty(a: At) -> None:
    a.do.set(a.s.has[a.s.struct[a.r]], a.s.request.size)


def _put_struct(a: At) -> None:
    a.do.when(a.s.struct[a.r] == a.o)
    a.do.set(a.s.idle[a.o], True)


def _evaluate(a: At) -> None:
    whose = a.s.has[a.s.struct[a.r]]
    a.panic("P10", whose == a.s.request.size)
    a.do.set(a.s.via[a.p], whose, whose != a.s.request.size)


X2 = replace(
    F3,
    name="X2",
    says="the final design's readers, found through a request struct that is pooled",
    fields=(*F3.fields, "request"),
    acquire=(
        Line("get_request", "requestPool.Get -> request struct {o}", _get_struct, READER),
        *F3.acquire,
        Line("store_body", "stores req.Body", _store_body),
    ),
    release=(
        Line("empty", "stores req.Body=nil", _empty),
        Line("put_request", "requestPool.Put(request struct {o})", _put_struct, READER),
    ),
    evaluates=(Line("evaluate", "loads req.Body", _evaluate),),
)
