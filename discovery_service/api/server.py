"""Runs the API under uvicorn, and ends open event streams when it is told to stop."""

from types import FrameType

import uvicorn

from discovery_service.api.app import create_app
from discovery_service.api.state import ApiState
from discovery_service.settings import Settings

# uvicorn's own patience; streams end at once by the stop event, ordinary requests finish long before this.
GRACE_S = 20


class Server(uvicorn.Server):
    """uvicorn waits for streams before it runs the shutdown that could end them: they are told first."""

    def __init__(self, config: uvicorn.Config, state: ApiState) -> None:
        super().__init__(config)
        self._state = state

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._state.stopping.set()
        super().handle_exit(sig, frame)


def serve(settings: Settings) -> None:
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.api.host,
        port=settings.api.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    Server(config, app.state.api).run()
