//! The rows: what is tried, what is aimed at, and what measures it.

use futures_util::FutureExt as _;

use super::row::{Part, Row};
use super::suite::Suite;
use super::{bill, loss, proof};

const fn mesh(name: &'static str) -> Part {
    Part::test(Suite::Mesh, name)
}

const fn agent(name: &'static str) -> Part {
    Part::test(Suite::Agent, name)
}

const fn router(name: &'static str) -> Part {
    Part::test(Suite::Router, name)
}

const fn processes(name: &'static str) -> Part {
    Part::test(Suite::Processes, name)
}

/// Every row, by id.
pub(super) const ROWS: [Row; 38] = [
    Row::new(
        "A1",
        "goodput at 4 times what it can carry, for a minute",
        "≥ 90 % of the peak, p99 to the first token ≤ 2 × that at the peak; at 10 times ≥ 80 %",
        &[router("flow::goodput_holds_at_four_and_ten_times_what_can_be_carried")],
    ),
    Row::new(
        "A2",
        "rejections are cheap",
        "p99 ≤ 10 ms, all with a pushback, CPU ≤ 10 % of a served request",
        &[processes("routers::a_refusal_costs_a_tenth_of_an_answer_and_says_when_to_come_again")],
    ),
    Row::new(
        "A3",
        "priorities at 4 times, a fifth interactive",
        "interactive ≥ 99 %, batch goes first",
        &[router("flow::when_there_is_too_much_nobody_interactive_goes_without")],
    ),
    Row::new(
        "A4",
        "recovery after the burst",
        "p99 ≤ 1.2 × within 5 s, queue empty within 2 s",
        &[router("flow::two_seconds_after_the_burst_nobody_waits")],
    ),
    Row::new(
        "A5",
        "retries while all workers fail",
        "attempts ≤ 1.2 × requests + 10/s; with those of the agent ≤ 1.3 ×",
        &[
            router("retry::retries_are_a_share_of_what_is_asked"),
            router("retry::retries_of_both_hops_are_counted_once"),
        ],
    ),
    Row::new(
        "A6",
        "agents throttle themselves where a quarter is taken",
        "≤ 2 × what is taken, ± 10 %, in the second window",
        &[agent("tests::quiet::an_upstream_that_takes_a_quarter_is_sent_twice_what_it_takes")],
    ),
    Row::new(
        "A7",
        "hedging, one of 4 workers 10 times as slow",
        "p99 to the first token − 50 %, ≤ 5 % more work, none after the first token",
        &[
            router("hedge::hedges_halve_the_tail_for_a_twentieth_more_work"),
            router("hedge::there_is_no_hedge_where_none_is_allowed"),
        ],
    ),
    Row::new(
        "A8",
        "a failing worker among 3, 2 requests/s",
        "ejected after ≤ 7 failures, ≤ 5 reach callers, asked again after 1 s",
        &[router("breaker::a_worker_that_always_fails_is_ejected_before_anybody_sees_it")],
    ),
    Row::new(
        "A9",
        "all workers fail",
        "never all ejected, agents answer themselves ≤ 300 ms, ejected and back ≤ once a minute",
        &[
            router("breaker::a_tier_is_never_left_with_nobody"),
            agent("tests::answers::the_device_answers_when_its_upstream_cannot"),
            router("flapping::workers_that_fail_come_back_once_a_minute_at_most"),
        ],
    ),
    Row::new(
        "A10",
        "load reports go stale, older than 10 s",
        "no worker above 1.5 × its share",
        &[router("membership::stale_signals_make_nobody_a_magnet")],
    ),
    Row::new(
        "A11",
        "4 workers of speeds 1 : 2 : 4 : 8",
        "p99 ≤ 1.5 × ideal, round robin ≥ 2 × that",
        &[router("uneven::the_tail_is_near_that_of_whoever_knows_all")],
    ),
    Row::new(
        "B1",
        "rolling restart of 4 workers, 200 streams",
        "none fails, none is cut short",
        &[router("many::a_rolling_restart_of_four_workers_loses_and_cuts_off_nothing")],
    ),
    Row::new(
        "B2",
        "rolling restart of 2 routers, 200 agents",
        "no token lost or twice, drains ≤ their deadline + 1 s, with a frozen client, too",
        &[
            processes("routers::a_rolling_restart_of_two_routers_costs_two_hundred_agents_no_token"),
            mesh("serve::tests::a_frozen_client_is_cut_off_at_the_drain_deadline"),
        ],
    ),
    Row::new(
        "B3",
        "worker killed in the midst of an answer, 500 times",
        "all go on elsewhere, within 500 ms",
        &[processes("resume::five_hundred_kills_leave_five_hundred_answers").slow()],
    ),
    Row::new(
        "B4",
        "worker stopped",
        "new work avoids it within 2 s, no call outlives its deadline by 100 ms",
        &[
            processes("stopped::new_work_is_steered_around_a_stopped_worker_within_two_seconds"),
            router("breaker::no_request_outlives_its_deadline"),
        ],
    ),
    Row::new(
        "B5",
        "black hole",
        "found ≤ 5 s",
        &[mesh("connect::tests::a_black_hole_is_found_within_five_seconds_by_either_end")],
    ),
    Row::new(
        "B6",
        "router killed",
        "agents answer ≤ 300 ms, back p99 ≤ 2 s, not all at once",
        &[
            processes("routers::agents_answer_while_their_router_is_killed_and_find_it_again"),
            agent("tests::routers::a_lost_router_holds_nobody_up_and_is_found_when_it_is_back"),
        ],
    ),
    Row::new(
        "B7",
        "10,000 agents come back at once",
        "all ≤ 30 s, memory ≤ 2 ×, the router goes on accepting",
        &[processes("crowd::ten_thousand_idle_callers_are_small_and_all_come_back").slow()],
    ),
    Row::new(
        "B10",
        "discovery down for 10 minutes",
        "no request fails, its age is told",
        &[
            router("membership::ten_minutes_without_answers_fail_no_request_and_show_as_age"),
            router("kubernetes::an_api_server_that_is_away_fails_no_request"),
        ],
    ),
    Row::new(
        "B11",
        "clocks wrong by 10 minutes, jumps of an hour",
        "no deadline error; certificates bear 5 minutes, beyond that the error has a name",
        &[
            mesh("tls::watch::tests::clocks_may_differ_by_minutes_and_no_more"),
            Part::own(|| proof::jumps().boxed()).slow(),
        ],
    )
    .without("agents whose clock is not the router's"),
    Row::new(
        "B12",
        "10,000 callers leave in the midst",
        "worker stops ≤ 100 ms, nothing is left, money comes back",
        &[Part::own(|| loss::cancels().boxed())],
    ),
    Row::new(
        "B13",
        "one reader stopped among 99",
        "no connection is lost, others keep ≥ 99 %, the stopped one is capped and cancelled",
        &[router("slow::one_frozen_caller_among_a_hundred_is_capped_and_cancelled_alone")],
    ),
    Row::new(
        "C1",
        "policy cut at every byte, 200 bits flipped",
        "the last good one stays, with file, line and column",
        &[router("rollout::a_policy_cut_anywhere_or_with_a_bit_flipped_keeps_the_last_good_one")],
    ),
    Row::new(
        "C2",
        "policies that are valid and dangerous",
        "all refused, with a code and where to read of it",
        &[Part::test(Suite::Policy, "check::tests::what_is_valid_and_dangerous_is_refused_with_its_code")],
    ),
    Row::new(
        "C3",
        "canary that doubles errors",
        "taken back ≤ 30 s, ≤ 5 % exposed",
        &[router("rollout::a_canary_that_fails_is_taken_back_and_few_have_met_it")],
    ),
    Row::new(
        "C4",
        "a reload each second for 5 minutes",
        "no request fails, p99 + ≤ 5 %",
        &[router("rollout::a_reload_each_second_for_five_minutes_costs_nobody_anything").slow()],
    ),
    Row::new(
        "D1",
        "24 malformed inputs",
        "no panic, no hang, the right status, others' p99 ≤ 1.2 ×",
        &[
            processes("malformed::what_is_malformed_gets_its_status_and_costs_nobody_else"),
            processes("refusal::bad_requests_are_refused_by_field_and_cost_nobody_else"),
            router("foreign::lies_in_trailers_harm_nobody"),
            router("odd::what_a_worker_says_after_its_end_is_not_passed_on"),
        ],
    ),
    Row::new(
        "D2",
        "floods, 100,000 resets among them",
        "closed and counted, memory + ≤ 16 MiB",
        &[
            mesh("serve::guard::tests::every_flood_ends_its_own_connection_and_is_counted_as_what_it_is"),
            mesh("serve::guard::tests::rapid_resets_end_their_connection_whether_they_were_looked_at_or_not"),
        ],
    ),
    Row::new(
        "D3",
        "slowloris, 1,000 connections, a byte in 10 s, in TLS, preface, headers and body",
        "all gone ≤ 15 s, nobody else waits",
        &[mesh("serve::guard::tests::a_thousand_who_dawdle_keep_nobody_waiting")],
    ),
    Row::new(
        "D4",
        "10,000 idle connections with mTLS",
        "≤ 64 KiB each, p99 of others + ≤ 5 ms",
        &[processes("crowd::ten_thousand_idle_callers_are_small_and_all_come_back").slow()],
    ),
    Row::new(
        "D5",
        "no file descriptors left, of 256",
        "accepts ≤ 1 s after there are",
        &[mesh("serve::tests::apart::a_process_out_of_files_accepts_again_within_a_second")],
    ),
    Row::new(
        "D6",
        "100 rotations of certificates under 200 streams, of authorities, a broken one",
        "none dropped, in force ≤ 1 s, the broken one ignored and told",
        &[
            mesh("tls::watch::tests::a_hundred_renewals_under_two_hundred_streams_drop_none"),
            mesh("tls::watch::tests::one_authority_takes_over_from_another_while_both_are_believed"),
            mesh(
                "tls::watch::tests::what_cannot_be_used_leaves_the_last_good_ones_in_force_and_is_told_once",
            ),
        ],
    ),
    Row::new(
        "D7",
        "one tenant's cache seen by another, 250 pairs",
        "Kolmogorov–Smirnov p > 0.01, one's own cache shows",
        &[router("prefix::no_tenant_can_tell_what_another_asked")],
    ),
    Row::new(
        "D8",
        "50 prefixes that look hard, 100 questions; 64 streams at once",
        "up-routing + ≤ 5 points; overshoot ≤ 1 request",
        &[
            router("budget::sixty_four_streams_at_once_spend_no_more_than_there_is"),
            Part::own(|| bill::prefixes().boxed()).slow(),
        ],
    ),
    Row::new(
        "E1",
        "simulation of 1,000 seeds",
        "nothing wrong, the same course twice",
        &[Part::own(|| proof::simulation().boxed()).slow()],
    ),
    Row::new("E2", "fuzz targets, 10 s each", "nothing fails", &[Part::own(|| proof::fuzz().boxed()).slow()]),
    Row::new(
        "E3",
        "a marker in 10,000 requests",
        "in no log, trace, metric or file; what must stay is not sent",
        &[
            processes("marker::what_is_asked_ten_thousand_times_is_written_nowhere").slow(),
            agent("tests::answers::what_must_stay_never_goes_up"),
        ],
    ),
    Row::new(
        "E4",
        "an hour at 70 %",
        "memory + ≤ 5 %, files and tasks as before",
        &[router("many::an_hour_of_requests_leaves_nothing_behind").slow()],
    ),
];
