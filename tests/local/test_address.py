"""The address is free when it is chosen, and written so that a client can use it."""

import socket

import pytest

from discovery_service.errors import UsageError
from discovery_service.local.address import Address, find_address


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8020"),
        ("0.0.0.0", "http://127.0.0.1:8020"),
        ("localhost", "http://localhost:8020"),
        ("::1", "http://[::1]:8020"),
        ("::", "http://[::1]:8020"),
    ],
)
def test_the_url_is_one_that_a_client_here_can_use(host: str, url: str) -> None:
    assert Address(host, 8020).url == url


def test_port_0_is_any_free_one() -> None:
    address = find_address("127.0.0.1", 0)
    assert address.port != 0
    assert not address.is_ready()


def test_what_cannot_be_listened_on_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} on 127.0.0.1 is in use"):
            find_address("127.0.0.1", port)
    with pytest.raises(UsageError, match=r"203.0.113.1 is no address of this machine. Choose another --host."):
        find_address("203.0.113.1", 0)
    with pytest.raises(UsageError, match="is unknown"):
        find_address("no.such.host.invalid", 0)
