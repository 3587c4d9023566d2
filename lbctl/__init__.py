"""lbctl moves live traffic between the blue and green pools of a service, and back by itself."""
