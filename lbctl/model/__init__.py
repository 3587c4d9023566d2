"""The vocabulary of lbctl: frozen values without behaviour beyond their own arithmetic.

Imports nothing but the standard library's types. Everything above speaks in these words (see docs/reference/words.md).
"""
