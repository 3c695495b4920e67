"""What the stack's tests run as `api`, `worker QUEUE` and so on: notes its environment; the API answers /readyz."""

import argparse
import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", nargs="+")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    name = options.role[-1]
    data_dir = Path(os.environ["DISCOVERY__LOCAL__DATA_DIR"])
    if (data_dir / f"{name}.sick").exists():
        sys.exit(3)
    note = data_dir / f"{name}.environment"
    note.with_suffix(".new").write_text(json.dumps(dict(os.environ)))
    note.with_suffix(".new").replace(note)
    if name == "gate":
        # Like the runtime and the jail: a process below a worker, in a session of its own.
        subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
        if (data_dir / "stubborn").exists():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdout.write(f"{name} is up\n")
    sys.stdout.flush()
    if options.port is None:
        while True:
            signal.pause()
    HTTPServer((options.host or "127.0.0.1", options.port), Ready).serve_forever()


if __name__ == "__main__":
    main()
