"""The imperative shell: one task owns the state, everything else only puts facts and requests in its inbox."""
