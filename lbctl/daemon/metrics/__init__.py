"""What Prometheus reads of lbctl. Everything here only looks on: nothing is ever decided by it."""
