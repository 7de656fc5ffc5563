"""What is promised under which fault, by which tests it is shown, and which of their numbers say so.

`docs/reliability.md` is written from this and from the numbers of `make faults` (bench/faults.json). Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """A number in words.

    Args:
        test: Who noted it (`tests.support.measures.note`).
        name: Under which name.
        words: A format of it.
        of: What is said of the values of all rounds.
    """

    test: str
    name: str
    words: str
    of: Callable[[Sequence[float]], float] = max


@dataclass(frozen=True, slots=True)
class Promise:
    """A row. `tests`: `path::[Class::]function`; none: `instead` says how else it is held."""

    fault: str
    what: str
    promise: str
    tests: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    instead: str = ""


TRANSCRIBER, REDIS = "tests/faults/test_chain_transcriber.py::", "tests/faults/test_chain_redis.py::"
BOT, MEETING = "tests/faults/test_chain_bot.py::", "tests/faults/test_chain_meeting.py::"
LINK, SHUTDOWN = "tests/faults/test_transcriber_link.py::", "tests/faults/test_shutdown.py::"
ENGINE, CLIENTS = "tests/faults/test_transcriber_engine.py::", "tests/faults/test_transcriber_clients.py::"
PROCESS = "tests/faults/test_transcriber_process.py::"
START, RTP = "tests/faults/test_refused_at_start.py::", "tests/faults/test_rtp.py::"
STARTING = "tests/integration/bot/transcriber/test_starting.py::"
REFUSALS = "tests/integration/bot/redis/test_refusals.py::"
POLICY = "tests/unit/common/destinations/test_policy.py::"
SECRETS = "tests/integration/bot/test_secrets.py::"
DEATHS = "tests/integration/bot/browser/test_deaths.py::"
PAGE = "tests/faults/test_chain_page.py::"

PROMISES = (
    Promise(
        "1",
        "the transcriber is killed in mid-utterance, and back after 3 s",
        "no word lost or doubled; the first final 10 s after it is back at most",
        (TRANSCRIBER + "test_a_transcriber_killed_in_mid_utterance_costs_no_word",
         "tests/e2e/test_transcriber_killed.py::test_kill_and_restart_in_mid_sentence"),
        (Measure("test_a_transcriber_killed_in_mid_utterance_costs_no_word", "back_s", "first final after {:.1f} s"),
         Measure("test_a_transcriber_killed_in_mid_utterance_costs_no_word", "grown_mb", "bot +{:.1f} MB")),
    ),
    Promise(
        "2",
        "the transcriber is frozen for 20 s",
        "noticed within 10.5 s; no word lost or doubled; the woken session says nothing",
        (TRANSCRIBER + "test_a_frozen_transcriber_costs_no_word",
         PROCESS + "test_a_frozen_transcriber_is_noticed_and_its_old_session_says_nothing"),
        (Measure("test_a_frozen_transcriber_costs_no_word", "noticed_s", "noticed after {:.1f} s"),
         Measure("test_a_frozen_transcriber_costs_no_word", "back_s", "next final {:.1f} s after it woke")),
    ),
    Promise(
        "3",
        "packets to and from the transcriber vanish for 15 s",
        "no word lost or doubled, caught up with in 10 s",
        (TRANSCRIBER + "test_a_silent_partition_of_the_transcriber_costs_no_word",
         LINK + "test_a_silent_partition_is_noticed_and_caught_up"),
        (Measure("test_a_silent_partition_of_the_transcriber_costs_no_word", "back_s", "next final after {:.1f} s"),),
    ),
    Promise(
        "4",
        "the line to the transcriber: 200 ± 100 ms, 64 kB/s, pieces of a few bytes, of one byte",
        "every word, on one connection; bounded memory",
        (TRANSCRIBER + "test_a_slow_line_to_the_transcriber_costs_no_word",
         LINK + "test_slices_of_one_byte_change_nothing",
         LINK + "test_delay_and_little_bandwidth_are_no_reason_to_connect_anew"),
        (Measure("test_a_slow_line_to_the_transcriber_costs_no_word", "behind_s", "{:.1f} s behind at the end"),
         Measure("test_a_slow_line_to_the_transcriber_costs_no_word", "grown_mb", "bot +{:.1f} MB")),
    ),
    Promise(
        "5",
        "the transcriber is full, refuses the key, or is none",
        "full: waited for; a wrong key: exit code 3, asked once; something else: its own sub-code",
        (START + "test_a_full_transcriber_is_waited_for",
         START + "test_a_wrong_key_ends_it_at_once",
         STARTING + "test_a_ready_that_never_comes_is_no_transcriber",
         STARTING + "test_an_http_server_is_no_transcriber",
         STARTING + "test_what_speaks_neither_http_nor_websocket_is_no_transcriber"),
    ),
    Promise(
        "6",
        "the engine hangs, crashes or is killed",
        "replaced; its window tried twice, then said to be lost; nobody else loses a word",
        (TRANSCRIBER + "test_an_engine_killed_under_a_meeting_costs_no_word",
         ENGINE + "test_a_window_that_breaks_the_engine_costs_its_own_words",
         ENGINE + "test_an_engine_killed_or_frozen_under_everybody_costs_nothing"),
        (Measure("test_an_engine_killed_under_a_meeting_costs_no_word", "back_s", "next final after {:.1f} s"),),
    ),
    Promise(
        "7",
        "Redis is down for 60 s (kill -9)",
        "no final lost, doubled or out of order; stored within 4 s of its return, and a busy machine's 2 s",
        (REDIS + "test_redis_down_for_a_minute_costs_no_word",
         "tests/faults/test_redis_outages.py::test_no_outage_of_redis_loses_a_word"),
        (Measure("test_redis_down_for_a_minute_costs_no_word", "flushed_s", "all stored after {:.1f} s"),
         Measure("test_redis_down_for_a_minute_costs_no_word", "grown_mb", "bot +{:.1f} MB"),
         Measure("test_no_outage_of_redis_loses_a_word", "finals", "{:.0f} numbered finals through four outages", sum)),
    ),
    Promise(
        "8",
        "Redis is frozen for 20 s, or cut off in silence",
        "as 7; what the woken server still does is not done twice",
        (REDIS + "test_a_redis_that_falls_silent_costs_no_word",
         "tests/integration/bot/redis/test_exactly_once.py::test_silent_partition_is_noticed_and_survived"),
        (Measure("test_a_redis_that_falls_silent_costs_no_word", "flushed_s", "all stored after {:.1f} s"),),
    ),
    Promise(
        "9",
        "one answer of Redis in twenty never arrives",
        "nothing stored twice",
        (REDIS + "test_answers_of_redis_that_never_arrive_double_no_word",
         "tests/integration/bot/redis/test_exactly_once.py::test_lost_replies_store_each_payload_once"),
        (Measure("test_answers_of_redis_that_never_arrive_double_no_word", "lost_answers", "{:.0f} lost", sum),),
    ),
    Promise(
        "10",
        "Redis has no memory left, is read-only, is loading",
        "waited for, nothing lost",
        (REDIS + "test_a_redis_that_takes_nothing_costs_no_word",
         REFUSALS + "test_a_redis_that_is_loading_is_waited_for",
         REFUSALS + "test_a_full_outbox_asks_to_hold_back_before_it_refuses"),
        (Measure("test_a_redis_that_takes_nothing_costs_no_word", "flushed_s", "stored after {:.1f} s"),),
    ),
    Promise(
        "11",
        "Redis fails over (Sentinel)",
        "goes on within 15 s, nothing lost or doubled",
        instead="by hand, `python -m bench.failover`: 4.2 and 4.5 s, nothing lost ([redis.md](redis.md#failover))",
    ),
    Promise(
        "12",
        "SIGTERM, SIGINT, command, kick, end, crash: joining, in the lobby, active, in mid-utterance, reconnecting, "
        "Redis or transcriber frozen or dead, as PID 1",
        "over within 5 s, with its reason and exit code; a second signal at once",
        (SHUTDOWN + "test_sigterm_in_every_phase",
         SHUTDOWN + "test_every_other_end",
         SHUTDOWN + "test_sigterm_while_neighbours_are_gone",
         SHUTDOWN + "test_the_second_signal_ends_it_at_once",
         SHUTDOWN + "test_sigterm_for_a_loop_that_is_stuck",
         SHUTDOWN + "test_sigterm_before_the_configuration_is_read",
         SHUTDOWN + "test_sigterm_as_pid_1"),
        (Measure("shutdown", "end_s", "{:.0f} ends", len), Measure("shutdown", "end_s", "the longest took {:.2f} s")),
    ),
    Promise(
        "13",
        "the bot is killed with -9, and another one started",
        "what was stored stays; the heartbeat is gone within 30 s; numbers, ids and meeting time go on",
        (BOT + "test_a_bot_killed_is_followed_by_another_that_goes_on",),
        (Measure("test_a_bot_killed_is_followed_by_another_that_goes_on", "heartbeat_s", "heartbeat gone in {:.1f} s"),
         Measure("test_a_bot_killed_is_followed_by_another_that_goes_on", "joined_s", "the next one heard everybody "
                 "after {:.1f} s")),
    ),
    Promise(
        "14",
        "Chromium's renderer, Chromium or its driver is killed; the bot itself, with a Chromium",
        "noticed within 0.5 s; the page is opened again, with the same people, heard within 20 s, what was said before "
        "and after is there once; the fourth death in ten minutes is an end, with evidence; no process, no file stays",
        (PAGE + "test_a_page_that_dies_in_a_meeting_is_heard_again",
         DEATHS + "test_a_death_is_noticed",
         DEATHS + "test_a_page_that_dies_is_opened_again_and_again_and_no_more",
         DEATHS + "test_a_killed_bot_leaves_nothing_for_long",
         "tests/platforms/test_livekit_web.py::test_a_page_that_dies_comes_back_with_the_same_people"),
        (Measure("test_a_page_that_dies_in_a_meeting_is_heard_again", "heard_after_SIGKILL_s", "heard again after "
                 "{:.1f} s"),),
    ),
    Promise(
        "15",
        "Chromium's renderer is frozen, or only busy",
        "frozen: noticed within 5 s, then as 14; busy: left alone",
        (PAGE + "test_a_page_that_dies_in_a_meeting_is_heard_again", DEATHS + "test_a_death_is_noticed",
         DEATHS + "test_a_busy_page_is_not_frozen"),
        (Measure("test_a_page_that_dies_in_a_meeting_is_heard_again", "heard_after_SIGSTOP_s", "heard again {:.1f} s "
                 "after it froze"),),
    ),
    Promise(
        "16",
        "the meeting's network is down for 2 s, and for 30 s (the bot's link, in a namespace of its own)",
        "heard again; before and after it nothing lost or doubled; one bot in the room; lost and back said in pairs",
        (MEETING + "test_a_meeting_whose_link_goes_down_is_heard_again",
         PAGE + "test_a_page_whose_link_goes_down_is_heard_again",
         "tests/platforms/test_livekit.py::TestLiveKit::test_network_cut",
         "tests/platforms/test_rehearsal.py::TestRehearsal::test_network_cut"),
        (Measure("test_a_meeting_whose_link_goes_down_is_heard_again", "heard_after_2_s", "2 s: heard {:.1f} s after "
                 "it is back"),
         Measure("test_a_meeting_whose_link_goes_down_is_heard_again", "heard_after_30_s", "30 s: {:.1f} s after"),
         Measure("test_a_page_whose_link_goes_down_is_heard_again", "heard_after_2_s", "in a page: {:.1f} s"),
         Measure("test_a_page_whose_link_goes_down_is_heard_again", "heard_after_30_s", "{:.1f} s")),
    ),
    Promise(
        "17",
        "RTP: 5 % lost, 60 ms of jitter, 2 % overtaken, 1 % twice, for 10 minutes",
        "at least 94.5 % of the tones where they belong; no drift; nothing twice",
        (RTP + "test_a_bad_network_is_heard_through",),
        (Measure("test_a_bad_network_is_heard_through", "heard_percent", "{:.1f} % heard at least", min),
         Measure("test_a_bad_network_is_heard_through", "drift_ms", "drift {:.0f} ms")),
    ),
    Promise(
        "18",
        "RTP: both counters wrap, new SSRC, 10 s of pause, timestamps jump, the clock is 200 ppm off",
        "placed to within 40 ms",
        (RTP + "test_what_a_sender_does_to_its_clock_moves_no_word",
         "tests/unit/bot/audio/test_timeline.py::test_ten_minutes_of_drift"),
        (Measure("test_what_a_sender_does_to_its_clock_moves_no_word", "off_ms", "{:.0f} ms off at most"),),
    ),
    Promise(
        "19",
        "10,000 malformed packets (RTP, Opus, empty, session descriptions)",
        "no crash, +5 MB at most, the stream beside them unharmed",
        ("tests/faults/test_malformed_media.py::test_malformed_packets_beside_a_good_stream",
         "tests/faults/test_malformed_media.py::test_malformed_payloads_leave_the_decoder_usable",
         "tests/integration/bot/test_webrtc.py::test_survives_empty_and_broken_payloads",
         "tests/integration/bot/test_webrtc.py::test_damaged_session_descriptions"),
        (Measure("test_malformed_packets_beside_a_good_stream", "grown_mb", "+{:.1f} MB"),),
    ),
    Promise(
        "20",
        "10,000 malformed websocket messages to the transcriber",
        "answers and closes; +5 MB at most; neighbours lose no word",
        ("tests/faults/test_malformed_messages.py::test_ten_thousand_malformed_messages_harm_nobody",
         CLIENTS + "test_a_bad_handshake_costs_one_error",
         CLIENTS + "test_a_bad_message_costs_one_warning",
         CLIENTS + "test_ten_megabytes_in_one_message_are_not_read"),
        (Measure("test_ten_thousand_malformed_messages_harm_nobody", "messages", "{:.0f} messages", sum),
         Measure("test_ten_thousand_malformed_messages_harm_nobody", "grown_mb", "+{:.1f} MB")),
    ),
    Promise(
        "21",
        "floods of the transcriber: connections, sessions, 10× real time, pings, handshakes that never end",
        "bounds hold; others are served ([bench/flood.md](../bench/flood.md) has their latencies)",
        (CLIENTS + "test_a_thousand_clients_that_come_and_die_leave_nothing_behind",
         CLIENTS + "test_connections_that_never_say_anything_keep_nobody_out",
         CLIENTS + "test_ten_times_real_time_is_slowed_down_and_heard",
         CLIENTS + "test_a_flood_of_what_is_no_message_ends_its_connection",
         PROCESS + "test_a_thousand_sessions_leave_no_memory_behind"),
    ),
    Promise(
        "22",
        "hostile names and chat, 10,000 joins",
        "cleaned, at most 128 characters; one log line per event; valid JSON",
        (MEETING + "test_names_that_forge_are_only_names",
         SECRETS + "test_hostile_names_are_only_names",
         SECRETS + "test_ten_thousand_joins_cost_no_memory_and_no_log"),
    ),
    Promise(
        "23",
        "hostile URLs: 60 forms, addresses of metadata services, names that lead there",
        "none is connected to",
        (START + "test_the_metadata_service_is_never_called",
         POLICY + "test_everything_else_is_refused",
         POLICY + "test_metadata_and_link_local_addresses_are_for_nobody",
         "tests/integration/bot/test_destinations.py::test_no_client_is_led_to_the_metadata_service"),
        (Measure("test_the_metadata_service_is_never_called", "calls", "{:.0f} connections there", sum),),
    ),
    Promise(
        "24",
        "canaries in every secret",
        "in no log, status, callback, command line; in Redis only the consumers' token",
        (SECRETS + "test_no_secret_and_no_word_leaves_but_where_it_belongs",),
        instead="and the audit of each whole meeting above",
    ),
    Promise(
        "25",
        "the host: clock an hour ahead and back, busy cores, 64 files, 300 MB, suspended for 60 s, disk full",
        "no wrong time; every word, or an end that is said; heard again",
        (BOT + "test_a_clock_that_jumps_moves_no_word",
         BOT + "test_busy_cores_cost_no_word",
         BOT + "test_sixty_four_files_are_enough_or_said_to_be_too_few",
         BOT + "test_too_little_memory_is_an_end_and_no_silence",
         BOT + "test_a_suspended_bot_goes_on",
         "tests/integration/bot/redis/test_spill.py::test_a_full_disk_spoils_nothing",
         "tests/integration/bot/test_process.py::test_a_log_that_cannot_be_written_changes_no_end"),
        (Measure("test_a_clock_that_jumps_moves_no_word", "off_s", "times {:.2f} s off at most"),
         Measure("test_busy_cores_cost_no_word", "behind_s", "busy: {:.1f} s behind"),
         Measure("test_a_suspended_bot_goes_on", "heard_s", "woken: heard after {:.1f} s")),
    ),
    Promise(
        "",
        "two bots with one id; one that was frozen and replaced",
        "the second one notices before it joins; the replaced one stores nothing more",
        (SHUTDOWN + "test_the_second_bot_with_one_id_notices",
         "tests/integration/bot/redis/test_exactly_once.py::test_a_bot_that_was_taken_over_stores_nothing_more"),
    ),
    Promise(
        "",
        "whatever happens, in whatever order",
        "exactly one end, with a reason of the table",
        ("tests/unit/bot/core/test_walks.py::test_whatever_happens_it_ends_once_and_says_why",),
    ),
    Promise(
        "",
        "the manager's callback never answers, refuses, or is away",
        "the meeting goes on, and exactly one end is told",
        ("tests/integration/bot/test_callbacks.py::test_the_end_has_its_time_and_no_more",
         "tests/integration/bot/test_callbacks.py::test_an_end_comes_while_an_earlier_status_hangs",
         "tests/integration/bot/test_callbacks.py::test_what_is_refused_is_not_tried_again"),
    ),
)  # fmt: skip
"""Numbered as the twenty-five faults that the project was planned with; some more behind them."""
