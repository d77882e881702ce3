"""`python -m mesobridge.cli`."""

from . import main

if __name__ == "__main__":
    main()
