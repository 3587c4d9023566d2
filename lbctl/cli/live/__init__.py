"""Screens that live on a terminal: what is drawn, what is asked of the daemon, and which key was pressed."""
