"""A native handler that answers with the SHA-256 of what was uploaded, without copying it.

    nbio docs.examples.upload_native:handler

Try it: curl --data-binary @some-file http://127.0.0.1:8000/
"""

import hashlib

from nbio import Request, Response


async def handler(request: Request) -> Response:
    """Hash each view of the body: the kernel received the bytes into these very blocks."""
    digest = hashlib.sha256()
    async for view in request.body.views():
        digest.update(view)
    # Closing twice does no harm; the framework closes once more when the request is over.
    request.body.close()
    request.body.close()
    return Response(digest.hexdigest() + "\n")
