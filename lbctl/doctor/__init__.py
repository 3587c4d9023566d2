"""What bites on this host before it does: config, load balancers and host looked at, nothing changed."""
