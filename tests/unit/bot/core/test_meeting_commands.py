"""The meeting as a state machine: what somebody asks of the bot, and what is answered."""

from __future__ import annotations

from bot.core import effects as fx
from bot.core import events as ev
from bot.core import requests as rq
from bot.core.meeting import MeetingCore
from bot.core.orders import SendChat, Speak
from common.contracts.events import BotState
from common.contracts.health import Hearing
from common.contracts.status import State
from tests.unit.bot.core.test_meeting import ANA, IN, LEAVE, LEFT, SETTINGS, core


def test_reconfigure_changes_what_it_names() -> None:
    """Null is "detect" and a missing key is "as it is"; the answer says what is set. What is refused is taken back."""
    meeting = MeetingCore(SETTINGS, speech=rq.SpeechSettings("en", "translate", ("en", "de")))
    changes: list[rq.SpeechChange] = [{"language": None}, {"task": "transcribe", "allowed_languages": ()}]
    for change in changes:
        meeting.receive(ev.CommandReceived("reconfigure", rq.ChangeSpeech(change), "7"), 1)
    first, answer, second, _ = meeting.effects()
    assert first == fx.Reconfigure(rq.SpeechSettings(None, "translate", ("en", "de")))
    assert second == fx.Reconfigure(rq.SpeechSettings(None, "transcribe", ()))
    assert isinstance(answer, fx.AnswerCommand)
    assert (answer.accepted, answer.command_id) == (True, "7")
    assert answer.state is not None
    assert answer.state.allowed_languages == ("en", "de")
    meeting.receive(ev.SpeechSettled(rq.SpeechSettings("zh"), False, "refused"), 2)
    assert (meeting.speech.language, meeting.effects()) == ("zh", [fx.ReportHealth("reconfigure", False, "refused")])


def test_pausing_stops_listening_and_excuses_silence() -> None:
    """While paused nothing is owed and no silence counts; asked twice it happens once, and is answered twice."""
    meeting = core(IN, (1, ANA), (1, ev.TrackOpened("t", "ana")))
    for now in (2, 3):
        meeting.receive(ev.CommandReceived("pause", rq.Pause(True)), now)
    meeting.tick(100)
    listening = fx.AnswerCommand("pause", True, "not listening")
    assert meeting.effects() == [fx.PauseHearing(True), listening, listening]
    meeting.receive(ev.CommandReceived("resume", rq.Pause(False)), 101)
    assert meeting.effects() == [fx.PauseHearing(False), fx.AnswerCommand("resume", True, "listening")]
    assert meeting.health.next_timer() == 109


def test_what_the_platform_cannot_do_is_refused() -> None:
    """Each refusal says why; what it can do is handed on with the answer that is owed."""
    meeting = MeetingCore(SETTINGS, orders={SendChat})
    chat, speak = rq.CarryOut(SendChat("hi")), rq.CarryOut(Speak("hi"))
    meeting.receive(ev.CommandReceived("chat", chat), 0)
    meeting.receive(ev.Admitted(), 1)
    meeting.effects()
    meeting.receive(ev.CommandReceived("speak", speak), 2)
    meeting.receive(ev.CommandReceived("chat", chat), 2)
    meeting.receive(ev.CommandReceived("dance", rq.Unusable("unknown action")), 2)
    assert meeting.effects() == [
        fx.AnswerCommand("speak", False, "the bot cannot speak on this platform"),
        fx.GiveOrder(SendChat("hi"), fx.AnswerCommand("chat", True, "")),
        fx.AnswerCommand("dance", False, "unknown action"),
    ]
    lobby = MeetingCore(SETTINGS, orders={SendChat})
    lobby.receive(ev.CommandReceived("chat", chat), 0)
    lobby.receive(ev.CommandReceived("write", rq.CarryOut(SendChat("hi"))), 0)
    refusals = lobby.effects()
    assert all(isinstance(effect, fx.AnswerCommand) and "joining" in effect.detail for effect in refusals)
    no_chat = MeetingCore(SETTINGS)
    no_chat.receive(ev.CommandReceived("chat", chat), 0)
    assert no_chat.effects() == [fx.AnswerCommand("chat", False, "the bot cannot write into the chat on this platform")]


def test_leaving_twice_is_answered_twice() -> None:
    """The first order counts; the second learns that we are on our way."""
    meeting = core(IN)
    meeting.receive(LEAVE, 1)
    meeting.receive(LEAVE, 1)
    assert meeting.next_timer() is None
    assert meeting.effects() == [LEFT, fx.LeaveMeeting(), fx.AnswerCommand("leave", True, "leaving already")]


def test_the_state_is_told() -> None:
    """What somebody needs who asks why there is no text."""
    meeting = core(IN, (1, ev.PeopleCounted(3)))
    meeting.receive(ev.CommandReceived("status", rq.TellState()), 2)
    (answer,) = meeting.effects()
    assert isinstance(answer, fx.AnswerCommand)
    assert answer.state == BotState(State.ACTIVE, Hearing.NO_TRACKS, False, 3, None, "transcribe", ())
