"""What lbctl promises whatever happens, and the tests that hold it to it.

One row a promise: what is promised, the figure to reach, and which tests fail when it is broken. The page
docs/reference/promises.md is drawn from this table; a house test holds that every test named here is there. P22 to P25
are promises of several lbctl hosts, which this version does not have.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a promise is put to the test."""

    REAL = "real load balancer"
    CRASH = "ended at every effect"
    SIMULATOR = "simulator"
    RULES = "rules alone"
    HOSTILE = "hostile input"
    PROCESS = "real processes"


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise. `tests` are `FILE::NAME` from `tests/` on, or the file of a scenario.

    `make test` runs those that are not marked long, `make test-long` the others.
    """

    id: str
    sentence: str
    goal: str
    kinds: tuple[Kind, ...]
    tests: tuple[str, ...]


PROMISES = (
    Promise(
        "P1",
        "Stopping, killing, hanging or removing lbctl changes no share and fails no request.",
        "1,000 kills: 0 failed requests, 0 changes of a share",
        (Kind.CRASH, Kind.REAL),
        (
            "e2e/test_crashes.py::test_killing_lbctld_at_any_moment_harms_nobody_and_forgets_nothing",
            "e2e/test_crashes.py::test_the_split_stays_while_lbctld_is_dead",
            "e2e/test_attached.py::test_lbctld_killed_in_mid_step_leaves_the_split_and_goes_on_from_its_record",
            "integration/test_envoy_process.py::test_it_outlives_the_process_that_started_it_and_is_found_again",
            "booted/test_package.py::test_a_package_is_installed_used_upgraded_in_mid_release_removed_and_purged",
            "e2e/test_crash_points.py::test_nobody_notices_a_death_at_any_effect_and_nothing_is_lost",
            "e2e/test_stops.py::test_a_thousand_kills_at_random_moments_harm_nobody_and_forget_nothing",
            "e2e/test_stops.py::test_lbctld_that_was_stopped_for_seconds_goes_on_as_if_nothing_was",
            "e2e/test_stops.py::test_what_was_stopped_for_half_a_minute_goes_on_as_if_nothing_was",
            "e2e/test_stops.py::test_lbctld_killed_for_want_of_memory_leaves_the_split_and_goes_on",
            "e2e/test_stops.py::test_lbctld_that_gets_no_memory_any_more_leaves_the_split_and_goes_on",
        ),
    ),
    Promise(
        "P2",
        "The weights of a service never sum to 0, not even between two commands.",
        "0 violations in a million ticks; 0 failed requests in 2,000 flips",
        (Kind.SIMULATOR, Kind.RULES, Kind.REAL),
        (
            "property/test_core_reconcile.py::test_no_plan_raises_what_it_may_not_or_above_what_is_wanted",
            "simulation/test_world.py::test_a_million_ticks",
            "integration/test_haproxy_flips.py::test_nobody_fails_while_the_share_flips",
            "integration/test_haproxy_flips.py::test_nobody_fails_in_two_thousand_flips",
            "integration/test_haproxy_flips.py::test_lowering_first_would_fail_them_which_this_load_sees",
            "simulation/test_world.py::test_nothing_forbidden_happens_under_any_faults_and_every_named_fault_is_met",
        ),
    ),
    Promise(
        "P3",
        "Traffic never goes to a pool that has too few healthy servers, and the last capacity is never drained.",
        "`min_healthy` 50 %, every candidate server healthy before a step: 0 violations",
        (Kind.SIMULATOR, Kind.RULES, Kind.REAL),
        (
            "scenarios/too_little_capacity_is_held.txt",
            "scenarios/a_rollback_waits_for_a_home_that_lives.txt",
            "unit/test_core_retiring.py::test_the_last_capacity_is_not_drained",
            "unit/test_core_draining.py::"
            "test_the_way_back_of_a_release_that_drains_is_not_drained_away_and_a_rollback_comes_home",
            "e2e/test_weights.py::test_an_active_server_that_dies_in_mid_step_does_not_leave_its_part_to_the_candidate",
            "simulation/test_world.py::test_nothing_forbidden_happens_under_any_faults_and_every_named_fault_is_met",
        ),
    ),
    Promise(
        "P4",
        "When most of both pools look dead at once, the checker is suspect: hold and page, no way back by it.",
        "0 moves of traffic in a fake mass outage",
        (Kind.RULES, Kind.REAL),
        (
            "unit/test_health_rules.py::test_the_checker_is_suspect_when_both_pools_fail_alike",
            "unit/test_judge_verdicts.py::test_a_panic_of_the_health_check_does_not_condemn_the_candidate",
            "unit/test_judge_verdicts.py::test_both_dead_is_held_and_paged_however_long",
            "e2e/test_releases.py::test_both_pools_failing_alike_hold_the_release_and_never_move_it",
        ),
    ),
    Promise(
        "P5",
        "A checker that is late says `unknown`, never `down`.",
        "0 false failures at twice the load and in stops of 0.1 to 30 s",
        (Kind.PROCESS, Kind.RULES),
        (
            "integration/test_probe_lateness.py::test_a_stopped_prober_says_no_server_is_down",
            "integration/test_probe_lateness.py::test_a_stopped_prober_does_not_replay_what_it_missed",
            "integration/test_probe_lateness.py::"
            "test_a_hung_server_is_unknown_while_the_checker_is_late_and_down_once_it_is_not",
            "integration/test_probe_lateness.py::test_a_thousand_servers_and_a_busy_processor_give_no_false_failure",
            "property/test_health_promises.py::test_a_probe_that_cannot_tell_never_makes_a_server_up_or_down",
            "e2e/test_stops.py::test_what_was_stopped_for_half_a_minute_goes_on_as_if_nothing_was",
        ),
    ),
    Promise(
        "P6",
        "Without fresh counters or health nothing goes forward; a page after 60 s, a way back at `blind_limit` only.",
        "hold at 3 s, page at 60 s, 0 steps on stale data",
        (Kind.RULES, Kind.REAL),
        (
            "unit/test_judge_verdicts.py::"
            "test_blindness_is_held_at_three_seconds_paged_at_sixty_and_goes_back_at_the_limit",
            "e2e/test_judgement.py::test_counters_that_cannot_be_read_hold_and_the_release_goes_on_by_itself",
            "e2e/test_judgement.py::test_five_minutes_without_counters_are_one_page_and_no_rollback",
            "e2e/test_rights_lost.py::"
            "test_a_right_that_is_lost_in_mid_release_holds_it_and_it_goes_on_when_it_is_given_back",
            "integration/test_probe_lateness.py::"
            "test_a_killed_prober_is_started_again_and_its_targets_are_unknown_meanwhile",
            "integration/test_request_log_receiver.py::"
            "test_lines_that_were_not_fetched_in_time_are_lost_by_count_and_ten_calm_seconds_heal",
            "e2e/test_stops.py::test_no_step_is_taken_while_nobody_asks_servers_how_they_are",
        ),
    ),
    Promise(
        "P7",
        "An old pool is certified only when it is proved unused, with the journal written.",
        "0 violations",
        (Kind.SIMULATOR, Kind.RULES, Kind.REAL),
        (
            "scenarios/an_old_pool_is_certified_when_nobody_used_it.txt",
            "scenarios/a_certificate_that_the_journal_does_not_take_within_a_second_is_withdrawn.txt",
            "unit/test_core_retiring.py::test_the_consumer_is_certified_first_and_the_provider_when_that_is_stopped",
            "unit/test_core_retiring.py::test_no_rollback_after_the_first_certificate_and_a_crash_forgets_neither",
            "e2e/test_retirement.py::test_a_program_that_calls_past_the_load_balancer_keeps_the_old_pool_by_name",
            "e2e/test_retirement.py::test_a_late_request_voids_the_certificate_and_pages",
            "unit/test_core_past.py::"
            "test_who_calls_past_the_load_balancers_after_the_certificate_voids_it_and_is_named",
        ),
    ),
    Promise(
        "P8",
        "Services of a unit go over and come back as one: no new consumer meets an old provider or the reverse.",
        "0 mismatched calls in 100,000, with reloads and kills",
        (Kind.SIMULATOR, Kind.RULES, Kind.REAL),
        (
            "unit/test_core_units.py::test_crashes_and_reloads_at_any_tick_mix_nothing",
            "unit/test_core_units.py::test_going_back_in_any_phase_mixes_nothing",
            "property/test_unit_orders.py::"
            "test_a_pair_that_cannot_talk_never_does_and_nothing_that_could_go_is_kept_back",
            "e2e/test_story_troubles.py::test_a_pair_goes_over_under_reloads_and_kills_without_a_mismatched_call",
            "e2e/test_story_troubles.py::test_a_hundred_thousand_requests_of_pair_after_pair",
        ),
    ),
    Promise(
        "P9",
        "After `kill -9` at any effect lbctl goes on from its record, and is right again soon.",
        "every point and 1,000 random kills: 0 decisions lost, right again ≤ 2 s after the start",
        (Kind.CRASH, Kind.SIMULATOR, Kind.REAL),
        (
            "e2e/test_crashes.py::test_killing_lbctld_at_any_moment_harms_nobody_and_forgets_nothing",
            "e2e/test_crashes.py::test_a_rollback_survives_a_kill_in_its_middle",
            "integration/test_store_kill.py::test_no_acknowledged_record_is_lost_by_kills_at_random_moments",
            "unit/test_slotfile.py::test_a_crash_before_any_system_call_leaves_old_or_new_and_the_next_write_goes_through",
            "unit/test_slotfile.py::test_two_crashes_one_after_the_other_leave_old_or_new",
            "e2e/test_crash_points.py::test_nobody_notices_a_death_between_effects_and_nothing_is_lost",
            "e2e/test_crash_points.py::test_nobody_notices_a_death_at_any_effect_and_nothing_is_lost",
            "e2e/test_stops.py::test_a_thousand_kills_at_random_moments_harm_nobody_and_forget_nothing",
            "house/test_crash_points.py::test_every_effect_stands_between_points",
        ),
    ),
    Promise(
        "P10",
        "A decision is on disk before its first effect; a way back never waits for a disk.",
        "way back ≤ 1 s with the journal dead",
        (Kind.SIMULATOR, Kind.RULES, Kind.REAL),
        (
            "scenarios/a_rollback_needs_no_journal.txt",
            "scenarios/a_crash_after_a_step_is_recorded_carries_it_out.txt",
            "e2e/test_crashes.py::test_a_full_disk_never_stops_the_way_back",
            "integration/test_store_disk_full.py::test_tokens_turn_back_and_accounts_stay_when_their_disk_is_full",
            "integration/test_haproxy_disk.py::test_a_full_disk_stops_neither_runtime_nor_boot_value",
            "integration/test_envoy_traffic.py::test_a_full_disk_does_not_stop_a_lowering",
            "e2e/test_unwell_host.py::test_a_disk_that_hangs_delays_neither_the_answer_nor_the_way_back",
            "e2e/test_unwell_host.py::test_a_raise_that_a_disk_holds_up_delays_no_way_back",
            "e2e/test_unwell_host.py::test_a_raise_that_a_disk_holds_up_delays_no_way_back_more_than_promised",
            "integration/test_envoy_disk.py::"
            "test_a_way_back_does_not_wait_for_a_raise_that_hangs_and_has_the_last_word",
            "integration/test_envoy_disk.py::test_a_raise_on_a_disk_that_hangs_is_refused_in_time_and_never_lands",
            "integration/test_haproxy_hanging.py::"
            "test_a_way_back_does_not_wait_for_a_boot_value_that_hangs_and_has_the_last_word",
            "integration/test_haproxy_hanging.py::"
            "test_a_boot_value_of_a_raise_is_refused_in_time_never_lands_and_is_written_when_the_disk_answers",
        ),
    ),
    Promise(
        "P11",
        "Writes are absolute and read back; what became of an unanswered one is read, never guessed.",
        "0 divergences under lost, late and reordered replies",
        (Kind.SIMULATOR, Kind.RULES, Kind.REAL),
        (
            "property/test_core_reconcile.py::test_two_rounds_of_applying_and_reading_reach_any_target",
            "property/test_core_reconcile.py::test_an_unresolved_instance_is_sent_its_target_though_it_reads_right",
            "integration/test_haproxy_stalls.py::test_an_old_raise_never_lands_after_a_lowering_that_was_done",
            "integration/test_haproxy_order.py::"
            "test_a_lowering_is_not_done_while_an_older_raise_may_still_be_carried_out",
            "conformance/test_conformance.py::test_an_operation_with_a_lower_fence_is_stale_and_does_nothing",
        ),
    ),
    Promise(
        "P12",
        "After a reload, a restart or a hand edit of the load balancer the share is right, or the record re-based.",
        "≤ 1 s until read back equals the record",
        (Kind.REAL,),
        (
            "e2e/test_reloads.py::test_a_reload_in_mid_step_changes_nothing_and_is_told",
            "e2e/test_reloads.py::test_a_reload_with_an_older_file_rebases_the_release_and_it_climbs_again",
            "e2e/test_reloads.py::test_a_reload_with_a_higher_file_is_lowered_at_once",
            "e2e/test_reloads.py::test_a_share_lowered_by_hand_is_respected_until_somebody_resumes",
            "e2e/test_attached.py::test_forty_restarts_of_an_attached_envoy_are_read_back_as_fast_as_promised",
            "e2e/test_review.py::test_a_load_balancer_killed_in_mid_release_comes_back_with_what_is_recorded",
            "e2e/test_reloads.py::test_reloads_every_three_seconds_for_ten_minutes_are_read_back_as_fast_as_promised",
            "e2e/test_other_versions.py::test_an_haproxy_of_another_version_takes_over_by_a_reload_and_goes_back_again",
            "e2e/test_other_versions.py::"
            "test_an_haproxy_of_another_version_that_is_started_in_the_others_place_routes_as_recorded",
            "e2e/test_other_versions.py::"
            "test_an_envoy_of_another_version_routes_as_recorded_and_plan_says_that_it_is_older",
        ),
    ),
    Promise(
        "P13",
        "On a full disk nothing new begins, what runs holds, the way back works, and the state stays readable.",
        "0 damaged journals in many fills",
        (Kind.PROCESS, Kind.REAL),
        (
            "integration/test_store_disk_full.py::"
            "test_decisions_are_still_written_by_the_ballast_when_others_fill_the_disk",
            "integration/test_store_disk_full.py::test_full_means_a_quick_error_and_going_on_reading_and_room_heals_it",
            "integration/test_store_disk_full.py::test_no_fill_of_many_damages_anything",
            "e2e/test_crashes.py::test_a_full_disk_never_stops_the_way_back",
            "e2e/test_crashes.py::"
            "test_a_cancellation_that_cannot_be_recorded_is_not_refused_and_ends_the_release_when_it_can",
            "e2e/test_worst_day.py::test_whatever_is_broken_a_rollback_is_answered_and_users_are_back",
        ),
    ),
    Promise(
        "P14",
        "A torn or damaged end of the journal is found, cut and told; a newer schema is never written over.",
        "every flipped bit of the last record found",
        (Kind.PROCESS, Kind.HOSTILE),
        (
            "integration/test_store_journal.py::"
            "test_every_flipped_bit_of_the_last_record_is_found_and_the_one_before_is_used",
            "integration/test_store_journal.py::test_a_torn_or_flipped_write_ahead_log_is_found",
            "integration/test_store_journal.py::test_a_record_of_a_newer_lbctl_is_not_written_over",
            "integration/test_store_journal.py::test_newer_tables_are_opened_for_reading_only",
            "property/test_store_codec.py::test_any_flipped_bit_is_damage",
        ),
    ),
    Promise(
        "P15",
        "Jumps of the wall clock change no decision.",
        "0 reads of the wall clock outside of what is printed or signed",
        (Kind.RULES, Kind.REAL),
        (
            "house/test_house_style.py::test_the_wall_clock_is_read_only_where_it_is_printed_or_signed",
            "house/test_core_is_pure.py::test_the_core_and_the_model_do_no_io_and_read_no_clock",
            "unit/test_store_clock.py::test_the_clock_never_goes_back_and_a_restart_continues_it",
            "unit/test_store_clock.py::test_time_goes_on_from_the_last_recorded_instant_after_a_reboot",
            "e2e/test_unwell_host.py::test_a_wall_clock_that_jumps_a_day_decides_nothing",
        ),
    ),
    Promise(
        "P16",
        "A load balancer, hook, chat, name server or disk that hangs delays nobody else's decisions.",
        "decisions of others ≤ 20 ms late (p99)",
        (Kind.REAL, Kind.PROCESS),
        (
            "integration/test_haproxy_stalls.py::"
            "test_a_stopped_haproxy_is_unreachable_in_time_and_read_again_at_once_when_it_goes_on",
            "integration/test_notify_outbox.py::test_hanging_and_dead_receivers_delay_neither_each_other_nor_an_append",
            "e2e/test_gates.py::test_a_hook_that_hangs_holds_the_release_and_delays_no_rollback",
            "e2e/test_review.py::test_lbctld_starts_beside_an_envoy_that_hangs_and_steers_it_when_it_answers",
            "unit/test_config_load.py::test_a_name_server_that_hangs_cannot_hold_up_the_load_for_long",
            "e2e/test_neighbours.py::test_decisions_beside_what_hangs_are_in_time",
            "e2e/test_unwell_host.py::test_names_that_nobody_answers_for_delay_no_way_back",
        ),
    ),
    Promise(
        "P17",
        "Chats that are dead delay no way back; alerts are told later, bounded, and what was dropped is counted.",
        "way back as fast as without; ≤ 1,000 waiting for a channel",
        (Kind.REAL, Kind.PROCESS),
        (
            "e2e/test_daemon.py::test_a_dead_alert_receiver_delays_no_rollback",
            "e2e/test_chat.py::test_chats_on_their_worst_day_delay_no_way_back_lose_nothing_and_tell_no_secret",
            "e2e/test_chat.py::test_a_way_back_is_as_fast_with_dead_chats_as_without",
            "integration/test_notify_outbox.py::"
            "test_entries_the_journal_could_not_take_are_told_from_memory_and_are_bounded",
            "unit/test_notify_words.py::test_a_full_backlog_gives_up_the_oldest_and_counts_it",
            "e2e/test_worst_day.py::test_whatever_is_broken_a_rollback_is_answered_and_users_are_back",
        ),
    ),
    Promise(
        "P18",
        "A rollback is taken in every phase before the point of no return, whatever is broken.",
        "answered ≤ 100 ms, users back ≤ 1 s",
        (Kind.SIMULATOR, Kind.REAL),
        (
            "scenarios/a_rollback_without_a_journal_survives_a_crash.txt",
            "scenarios/a_full_journal_holds_a_running_release.txt",
            "unit/test_core_transitions.py::test_every_phase_with_traffic_can_go_back_and_none_can_be_cancelled",
            "e2e/test_rollback_speed.py::test_users_are_off_a_dead_candidate_within_five_times_the_promise",
            "e2e/test_rollback_speed.py::test_users_are_off_a_dead_candidate_as_fast_as_promised",
            "e2e/test_worst_day.py::test_whatever_is_broken_a_rollback_is_answered_and_users_are_back",
            "e2e/test_worst_day.py::test_whatever_is_broken_a_rollback_is_as_fast_as_promised_in_every_phase",
        ),
    ),
    Promise(
        "P19",
        "Every release ends, every end is told, and nothing that went back starts again by itself.",
        "every seed of the simulator ends once its faults stop",
        (Kind.SIMULATOR, Kind.RULES),
        (
            "simulation/test_world.py::test_every_release_ends_once_the_faults_stop",
            "unit/test_core_transitions.py::test_every_phase_can_end",
            "unit/test_core_transitions.py::test_an_end_is_an_end",
            "unit/test_core_told.py::test_whatever_ends_or_holds_a_release_is_told_with_both_pools_numbers",
            "integration/test_notify_every_reason.py::"
            "test_every_reason_is_told_once_by_every_receiver_with_all_a_person_needs",
        ),
    ),
    Promise(
        "P20",
        "Floods of events, alerts and error texts cost bounded memory.",
        "+ ≤ 20 MB, then flat",
        (Kind.PROCESS, Kind.REAL),
        (
            "integration/test_notify_outbox.py::"
            "test_entries_the_journal_could_not_take_are_told_from_memory_and_are_bounded",
            "integration/test_store_journal.py::test_a_waiting_line_without_end_is_refused",
            "integration/test_store_journal.py::test_old_rows_are_trimmed_in_steps_and_ids_go_on_rising",
            "integration/test_probe_lateness.py::"
            "test_a_daemon_that_does_not_read_costs_bounded_memory_and_loses_only_old_reports",
            "property/test_store_codec.py::test_a_flood_in_an_entry_is_cut",
            "e2e/test_floods.py::test_ten_thousand_different_reasons_cost_bounded_memory",
        ),
    ),
    Promise(
        "P21",
        "A new config is taken whole or not at all, and a service in release cannot vanish by it.",
        "0 partial reloads",
        (Kind.RULES, Kind.HOSTILE, Kind.REAL),
        (
            "e2e/test_daemon.py::test_a_reload_is_taken_whole_or_refused_whole",
            "e2e/test_reload_race.py::"
            "test_a_release_that_begins_while_a_config_is_taken_keeps_its_own_and_what_was_built_for_it_is_gone",
            "property/test_config_mutations.py::test_a_damaged_config_loads_or_says_where",
            "unit/test_daemon_loop.py::test_a_config_that_nothing_forbids_is_taken_whole_in_one_turn",
        ),
    ),
    Promise(
        "P26",
        "Only whom the config names may do anything, by what the kernel says of the peer; no TCP by default.",
        "0 ways around over real users and groups",
        (Kind.PROCESS, Kind.RULES),
        (
            "integration/test_control_peers.py::test_supplementary_groups_decide",
            "integration/test_control_peers.py::test_the_gate_of_a_service_speaks_for_it_alone_and_may_stop_its_unit",
            "integration/test_control_peers.py::test_without_access_a_stranger_gets_nothing_and_root_everything",
            "integration/test_control_listener.py::test_a_directory_that_everybody_can_write_is_refused",
            "unit/test_control_openapi.py::test_nothing_that_changes_something_is_open_to_observers",
        ),
    ),
    Promise(
        "P27",
        "Requests are bounded in size and time, connections in number, for each user.",
        "64 KB, 5 s head, 5 s body, 64 connections",
        (Kind.PROCESS, Kind.HOSTILE),
        (
            "unit/test_control_framing.py::test_the_limits_are_exact",
            "unit/test_control_door.py::test_a_user_whose_connections_all_work_is_refused_and_others_are_not",
            "integration/test_control_hostile.py::"
            "test_a_request_that_drips_is_closed_with_408_although_something_always_comes",
            "integration/test_control_hostile.py::test_two_hundred_idle_connections_do_not_delay_status",
            "integration/test_control_peers.py::test_a_user_with_many_idle_connections_disturbs_only_itself",
        ),
    ),
    Promise(
        "P28",
        "A secret is in no log, answer, journal or alert.",
        "0 of the planted ones found",
        (Kind.REAL, Kind.HOSTILE),
        (
            "integration/test_planted_secrets.py::test_a_planted_secret_appears_nowhere",
            "e2e/test_chat.py::test_chats_on_their_worst_day_delay_no_way_back_lose_nothing_and_tell_no_secret",
            "integration/test_notify_outbox.py::test_secrets_are_not_in_the_text_of_a_channel",
            "unit/test_config_faults.py::test_an_inline_secret_is_refused_and_never_repeated",
            "unit/test_config_load.py::test_secrets_come_from_credentials_and_files_and_are_never_shown",
        ),
    ),
    Promise(
        "P29",
        "Every change a person asked for is in the journal with who, why, and what was before and after.",
        "every mutation",
        (Kind.REAL, Kind.PROCESS, Kind.RULES),
        (
            "e2e/test_every_request.py::"
            "test_every_change_that_is_answered_is_on_the_disk_with_who_why_before_and_after",
            "e2e/test_every_request.py::test_no_request_is_missing_in_the_table",
            "unit/test_core_asked.py::test_whatever_a_request_changes_is_told_with_who_and_why",
            "integration/test_control_peers.py::test_the_audit_names_the_peer_as_the_kernel_does",
            "unit/test_core_requests.py::test_every_other_reason_is_told_too",
            "unit/test_core_requests.py::test_a_pause_and_its_end_are_told_with_their_reasons",
        ),
    ),
    Promise(
        "P30",
        "Hostile bytes never end, block or fatten the daemon, and steer no terminal and no chat.",
        "0 uncaught, 0 answers of 5xx",
        (Kind.HOSTILE,),
        (
            "fuzz/test_foreign_bytes.py::test_what_was_found_once_and_what_is_like_it_is_refused_by_name",
            "integration/test_control_contract.py::test_no_request_makes_a_daemon_answer_5xx",
            "integration/test_planted_links.py::test_no_link_is_followed",
            "property/test_health_promises.py::test_no_answer_breaks_the_parser",
            "property/test_request_log_hostile.py::test_every_datagram_is_counted_once_and_none_raises",
            "property/test_sockets_hostile.py::test_hostile_bytes_are_counted_or_refused_and_nothing_else_is_raised",
            "property/test_notify_hostile.py::test_no_text_escapes_its_place_in_any_message",
            "integration/test_control_hostile.py::test_malformed_requests_get_a_problem_and_the_connection_is_closed",
            "unit/test_control_framing.py::test_any_bytes_get_an_answer_and_never_an_exception",
        ),
    ),
)
