"""Where the API of the local stack listens: a port proved to be free, the URL for clients, and whether it answers."""

import errno
import http.client
import os
import socket
from dataclasses import dataclass

from discovery_service.errors import UsageError


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    @property
    def reachable(self) -> str:
        """Host and port as a client on this machine writes them."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.reachable}"

    def is_ready(self) -> bool:
        """Whether the API there says that it can serve."""
        connection = http.client.HTTPConnection(self.reachable, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def find_address(host: str, port: int) -> Address:
    """An address that nobody listens on; port 0 takes any free one."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return Address(host, probe.getsockname()[1])
    except socket.gaierror as error:
        raise UsageError(f"The host {host} is unknown: {error.strerror}. Choose another --host.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"Port {port} on {host} is in use. Stop what listens there, or choose another --port."
            ) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise UsageError(f"{host} is no address of this machine. Choose another --host.") from error
        reason = os.strerror(error.errno or 0)
        raise UsageError(f"Port {port} on {host} cannot be used: {reason}. Choose another --port or --host.") from error
