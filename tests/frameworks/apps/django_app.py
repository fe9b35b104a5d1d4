"""Django, by ASGI and by WSGI. It has no WebSockets of its own."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.urls import path

from tests.frameworks.apps.common import COUNT, EVENTS, FILE


def hexdigest(pieces: Any) -> HttpResponse:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return HttpResponse(found.hexdigest())


def upload(request: Any) -> HttpResponse:
    return hexdigest(request.FILES["file"].chunks())


def digest(request: Any) -> HttpResponse:
    return hexdigest(iter(lambda: request.read(65536), b""))


def streamed(request: Any, pieces: list[bytes], **options: Any) -> Any:
    if not isinstance(request, ASGIRequest):
        return StreamingHttpResponse(iter(pieces), **options)

    async def made() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return StreamingHttpResponse(made(), **options)


def stream(request: Any) -> Any:
    return streamed(request, [b"%d," % n for n in range(COUNT)])


async def events(request: Any) -> Any:
    return streamed(request, EVENTS, content_type="text/event-stream")


def file(request: Any) -> Any:
    return FileResponse(FILE.open("rb"))


urlpatterns = [
    path("upload", upload),
    path("digest", digest),
    path("stream", stream),
    path("events", events),
    path("file", file),
]

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "test"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests",
)
django.setup(set_prefix=False)
asgi: Any = get_asgi_application()
wsgi: Any = get_wsgi_application()
