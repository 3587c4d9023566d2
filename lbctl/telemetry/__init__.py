"""Times of requests: the receivers of request logs, what they count, and how much they miss."""
