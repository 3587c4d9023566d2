"""The simulated world of a unit: two services that go over together, whose versions must never meet a stranger.

Users come to the storefront, and every storefront server calls accounts through the load balancers, with a user's
request or in the background. Two teams deploy when they like, two operators interfere, and everything breaks that
breaks in the world of one service.
"""
