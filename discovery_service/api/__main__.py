"""Prints the OpenAPI document, or with `--reference` the page that is written from it; `make openapi` stores both."""

import json
import sys

from pydantic import SecretStr

from discovery_service.api.app import create_app
from discovery_service.api.reference import write_reference
from discovery_service.settings import ApiSettings, DbSettings, RedisSettings, Settings

if __name__ == "__main__":
    nowhere = SecretStr("postgresql://nobody@localhost/nothing")
    settings = Settings(
        db=DbSettings(url=nowhere),
        redis=RedisSettings(url=SecretStr("redis://localhost")),
        api=ApiSettings(key_secret=SecretStr("none")),
    )
    document = create_app(settings).openapi()
    if sys.argv[1:] == ["--reference"]:
        sys.stdout.write(write_reference(document))
    else:
        json.dump(document, sys.stdout, indent=2, sort_keys=True)
        sys.stdout.write("\n")
