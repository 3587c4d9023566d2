"""Telling people: alerts out of the journal, per channel, by tasks of their own. Nothing here is waited for by a
decision, and no receiver can delay another."""
