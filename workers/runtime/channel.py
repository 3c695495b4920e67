"""The runtime's side of its two pipes: orders come in, answers go out, and nothing else gets between them.

Covered: what a library prints goes to stderr; a line that is no order, or that is too long, ends the process with a
sentence there; so does the end of the input, whatever the process is doing, because its supervisor is gone then.
"""

import os
import queue
import sys
import threading
from typing import NoReturn, Self

from workers.runtime.protocol import LINE_BYTES, Evaluate, Message, ProtocolError, read_order

EXIT_PROTOCOL = 2


class Channel:
    def __init__(self, orders: int, answers: int) -> None:
        self._orders = os.fdopen(orders, "rb")
        self._answers = answers
        self._waiting: queue.SimpleQueue[Evaluate] = queue.SimpleQueue()

    @classmethod
    def take_over(cls) -> Self:
        """Keep stdin and stdout for this channel alone: others read nothing, and print to stderr."""
        channel = cls(os.dup(0), os.dup(1))
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return channel

    def listen(self) -> None:
        """Read orders from now on, in a thread: the end of the input has to be seen while a job runs too."""
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def next_order(self) -> Evaluate:
        """The next one, as soon as there is one. Without a supervisor the process ends instead."""
        return self._waiting.get()

    def send(self, message: Message) -> None:
        rest = memoryview(message.encode())
        while rest:
            rest = rest[os.write(self._answers, rest) :]

    def _listen(self) -> None:
        try:
            while line := self._orders.readline(LINE_BYTES + 1):
                if not line.endswith(b"\n") and len(line) > LINE_BYTES:
                    _end(EXIT_PROTOCOL, f"An order is longer than {LINE_BYTES} bytes.")
                self._waiting.put(read_order(line))
        except ProtocolError as error:
            _end(EXIT_PROTOCOL, str(error))
        except BaseException as error:  # noqa: BLE001 - unheard, a supervisor's end would leave an orphan
            _end(1, f"Orders cannot be read any more: {error!r}.")
        os._exit(0)


def _end(status: int, message: str) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
    os._exit(status)
