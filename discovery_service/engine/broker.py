"""The broker's URL, as everybody who connects to it has to read it."""

from urllib.parse import parse_qs, urlsplit, urlunsplit


def verify(redis_url: str) -> str:
    """With the server's certificate checked, unless the URL says otherwise: kombu by itself takes any."""
    parts = urlsplit(redis_url)
    if parts.scheme != "rediss" or "ssl_cert_reqs" in parse_qs(parts.query):
        return redis_url
    query = "&".join(filter(None, (parts.query, "ssl_cert_reqs=required")))
    return urlunsplit(parts._replace(query=query))
