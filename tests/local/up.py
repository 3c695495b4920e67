"""`discovery up` without the command line around it, for tests that need it as a process of its own."""

import argparse
import os
import sys
from pathlib import Path

from discovery_service.errors import UsageError
from discovery_service.local.stack import StackOptions, run_stack

STAND_IN = Path(__file__).with_name("stand_in.py")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--database-url")
    parser.add_argument("--redis-url")
    options = parser.parse_args()
    try:
        return run_stack(
            StackOptions(
                data_dir=options.data,
                host=options.host,
                port=options.port,
                database_url=options.database_url,
                redis_url=options.redis_url,
                environment=os.environ,
                entry=(sys.executable, str(STAND_IN)),
            )
        )
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
