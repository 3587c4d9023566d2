"""A real systemd, booted in a container over this host's own files: the package is installed, used, upgraded, removed."""
