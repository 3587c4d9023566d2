"""What survives: the journal (decisions, on disk), go-tokens (runtime directory), the judge's account, the clock.

Nothing here decides. Everything that fails raises `StoreError` with the place and the next step.
"""
