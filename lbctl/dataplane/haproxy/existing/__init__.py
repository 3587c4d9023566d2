"""An HAProxy that was there before lbctl: its config is read, never written, and proposals are made from it. Pure."""
