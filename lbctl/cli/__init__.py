"""The command line. Starts fast: nothing here imports the daemon's libraries, and every command loads only itself."""
