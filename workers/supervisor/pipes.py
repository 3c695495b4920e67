"""The three pipes of one child, seen from the parent: a request goes in, a result and a log come out, both bounded."""

import os
from contextlib import ExitStack, suppress
from io import FileIO
from typing import Self

RESULT_BYTES = 1 << 20
LOG_BYTES = 16 << 10
_PART = 1 << 16


class Reader:
    """Our end of a pipe that a child writes to. Its bytes are hostile: counted here, judged elsewhere."""

    def __init__(self, pipe: FileIO, limit: int) -> None:
        self.pipe = pipe
        self._limit = limit
        self._read = bytearray()
        self.has_ended = False

    @property
    def text(self) -> bytes:
        return bytes(self._read[: self._limit])

    @property
    def is_flooded(self) -> bool:
        return len(self._read) > self._limit

    def read(self) -> bool:
        """Take what is there, up to a part; whether there was anything."""
        part = self.pipe.read(_PART)
        self.has_ended = part == b""
        self._read += part or b""
        return bool(part)

    def drain(self) -> None:
        """Take what a dead child has left. One that it started could keep the pipe open: its end is not waited for."""
        while not self.is_flooded and self.read():
            pass


class Pipes:
    """A context: on leaving it, both ends of all pipes are closed."""

    def __init__(self, request: bytes) -> None:
        self._rest = memoryview(request)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            source, self.request = _pipe(stack)
            result_end, result = _pipe(stack)
            log_end, log = _pipe(stack)
            self.theirs = (source, result, log)
            self.result, self.log = Reader(result_end, RESULT_BYTES), Reader(log_end, LOG_BYTES)
            for ours in (self.request, result_end, log_end):
                os.set_blocking(ours.fileno(), False)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def is_flooded(self) -> bool:
        return self.result.is_flooded or self.log.is_flooded

    def give_away(self) -> None:
        """The child has its ends now; ours would hide from us that it closed them."""
        for each in self.theirs:
            each.close()

    def write(self) -> bool:
        """Write a part of the request; whether it is all written, or nobody is left to read it."""
        with suppress(BrokenPipeError):
            self._rest = self._rest[self.request.write(self._rest) or 0 :]
            return not self._rest
        return True


def _pipe(stack: ExitStack) -> tuple[FileIO, FileIO]:
    reader, writer = os.pipe()
    return stack.enter_context(FileIO(reader, "rb")), stack.enter_context(FileIO(writer, "wb"))
