"""Every rule of the design that the model proved necessary, and what catches it when it is left out.

A name without a slash is a planted mutant of the simulated world, one with a slash a test elsewhere: for what this
world has not (units, real files, alerts, weights).
"""

RULES: dict[str, tuple[str, ...]] = {
    "a ready without a claim is refused": (
        "unit/test_core_ready.py::test_ready_without_a_claim_is_refused_and_names_it",
        "property/test_unit_orders.py::test_a_pair_that_cannot_talk_never_does_and_nothing_that_could_go_is_kept_back",
    ),
    "back is ignored once a certificate is durable": (
        "a back token is obeyed after the certificate",
        "a certificate does not count for a rollback",
        "a rollback does not wait for the first certificate",
    ),
    "a decision is durable before its first effect": (
        "traffic follows decisions that are not durable",
        "a decision is told before it is durable",
    ),
    "what the world must be told is derived by a cursor": (
        "integration/test_notify_outbox.py::test_what_was_not_told_before_a_restart_is_told_after_it",
    ),
    "no token, no raise": ("a raise needs no go-token", "an advance needs no go-token"),
    "a way back marks a token, and makes one if there is none": (
        "a rollback marks no back token",
        "a back token is not obeyed",
        "integration/test_store_token.py::test_back_is_made_when_there_was_no_token",
        "integration/test_store_token.py::test_a_directory_that_vanished_means_no_token_and_back_still_works",
    ),
    "ends, certificates and role swaps need the journal first": (
        "rolled_back does not wait for the journal",
        "the roles swap with the rollback's decision",
        "a rollback waits for the journal for ever",
    ),
    "pins need the journal first": (
        "unit/test_core_claims.py::test_a_journal_that_does_not_work_supersedes_nothing",
        "unit/test_core_claims.py::test_a_claim_is_not_granted_while_nothing_may_be_written",
    ),
    "done only when all agree, on every generation of every instance": (
        "old generations are not read back",
        "boot values are not read back",
        "one instance read back is enough",
        "a step does not wait for the read-back",
        "a raise does not need all instances",
    ),
    "the boot value is raised last": ("the boot value is raised at once", "the boot value is never raised"),
    "after a start every instance is unresolved": (
        "nothing is unresolved after a start",
        "an unknown outcome is forgotten",
        "what is unresolved does not block an end",
        "an unresolved instance is not sent its target",
        "a raise does not wait for what is unresolved",
    ),
    "a raise is planned from a reading after its record, and bound to it": (
        "a raise is planned from an older reading",
        "a raise is not bound to what was read",
        "a raise of the boot value is not bound to what was read",
    ),
    "raise active, raise candidate, lower candidate, lower active": (
        "unit/test_haproxy_apportion.py::test_on_the_way_the_smaller_pool_never_gets_more_than_before_or_after",
        "unit/test_haproxy_apportion.py::test_between_raising_and_lowering_the_share_lies_between_both",
        "integration/test_haproxy_order.py::test_a_lowering_is_not_done_while_an_older_raise_may_still_be_carried_out",
    ),
    "the judge's account outlives a restart": ("a restart forgets the judge's account",),
    "idle and certified mean keep 0, read back": (
        "keep 0 is not read back",
        "sessions are not closed before the certificate",
        "no further quiet time after the last session",
    ),
}
