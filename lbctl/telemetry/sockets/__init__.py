"""The kernel's own list of TCP connections: who on this host is connected to the servers of a pool.

`question` and `answer` are the two halves of the netlink protocol, pure; `reader` speaks to the kernel; `census` counts
and names; `strangers` tells who is no load balancer; `ending` ends single connections. Source: linux/inet_diag.h,
linux/sock_diag.h, net/ipv4/inet_diag.c.
"""
