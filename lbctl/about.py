"""What this installation calls itself. Read from the package metadata, so it can never disagree with it."""

from importlib.metadata import version

VERSION = version("lbctl")
