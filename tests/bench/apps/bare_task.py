"""A second control: the bare one, and a task a request, as every handler must have."""

import asyncio
import sys

import httptools
import uvloop

from tests.bench.apps.bare import RESPONSE, Bare


class BareTask(Bare):
    """A connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)

    def on_message_complete(self) -> None:
        if sys.version_info >= (3, 12):
            asyncio.Task(self.answer(), loop=self.loop, eager_start=True)
        else:
            self.loop.create_task(self.answer())

    async def answer(self) -> None:
        self.transport.write(RESPONSE)  # type: ignore[attr-defined] # a socket's can


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(BareTask, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
