"""`python -m discovery_service.cli` is `discovery`."""

from discovery_service.cli import main

if __name__ == "__main__":
    main()
