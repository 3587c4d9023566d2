"""`python -m lbctl.cli`."""

from lbctl.cli.app import main

if __name__ == "__main__":
    main()
