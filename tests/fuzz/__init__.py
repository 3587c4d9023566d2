"""Every parser of bytes that come from somebody else, fed with whatever there is.

`targets` is the list, `python -m tests.fuzz NAME` looks for more, `corpus/NAME/` keeps what it started from and what it
found, and `test_foreign_bytes` reads all of that again at every `make test`.
"""
