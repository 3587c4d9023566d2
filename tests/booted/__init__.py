"""A real systemd, booted over this host's own files: the package is installed, used, upgraded, removed."""
