"""`python -m lbctl.cli`."""

import sys

from lbctl.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
