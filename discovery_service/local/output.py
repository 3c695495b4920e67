"""The one stream on which the local stack speaks: each line under the name of the process that said it."""

import os

NAME_WIDTH = 9
COLOURS = (36, 33, 32, 35, 34, 31)
MAX_LINE_BYTES = 65_536


class Output:
    """Whole lines to a file descriptor, unbuffered; `is_closed` once nobody reads it any more."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._is_coloured = os.isatty(fd)
        self._colours: dict[str, int] = {}
        self.is_closed = False

    def say(self, line: str) -> None:
        """A line of the supervisor's own."""
        self.write("discovery", line.encode())

    def write(self, name: str, line: bytes) -> None:
        prefix = f"{name:<{NAME_WIDTH}} |"
        if self._is_coloured:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        data = prefix.encode() + b" " + line + b"\n"
        while data and not self.is_closed:
            try:
                data = data[os.write(self._fd, data) :]
            except BrokenPipeError:
                self.is_closed = True


class LineReader:
    """The lines that come out of one end of a pipe."""

    def __init__(self, fd: int, name: str) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.name = name
        self.is_at_end = False
        self._rest = b""

    def read(self) -> list[bytes]:
        """The lines that are complete by now; at the pipe's end also what stands behind the last of them."""
        try:
            data = os.read(self.fd, MAX_LINE_BYTES)
        except BlockingIOError:
            return []
        self.is_at_end = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._rest and (self.is_at_end or len(self._rest) >= MAX_LINE_BYTES):
            lines.append(self._rest)
            self._rest = b""
        return lines
