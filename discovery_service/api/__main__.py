"""Prints the OpenAPI document, as `make openapi` stores it for the snapshot test."""

import json
import sys

from pydantic import SecretStr

from discovery_service.api.app import create_app
from discovery_service.settings import ApiSettings, DbSettings, RedisSettings, Settings

if __name__ == "__main__":
    nowhere = SecretStr("postgresql://nobody@localhost/nothing")
    settings = Settings(
        db=DbSettings(url=nowhere),
        redis=RedisSettings(url=SecretStr("redis://localhost")),
        api=ApiSettings(key_secret=SecretStr("none")),
    )
    json.dump(create_app(settings).openapi(), sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")
