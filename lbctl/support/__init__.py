"""What a stranger needs to see to help: facts of a host and its lbctl, with every secret hidden. Nothing is changed."""
