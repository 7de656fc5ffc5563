"""What a page hears is heard here: real Chromium, real WebRTC within the page, in every way that sites have it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bot.codecs.red import Block, unwrap
from bot.drivers.browser import capture
from bot.drivers.browser.page import MIX_ID, CapturedKind, MeetingPage, init_script, open_page
from bot.drivers.browser.wire import MAX_TRACKS
from tests.support.servers.certificates import write_pair
from tests.support.servers.pages import ON_ONE_MACHINE, Heard, chromium_settings, page, serve_pages

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(60), pytest.mark.usefixtures("driver_of_file")]

PLAY = """
const play = (context) => {
  const oscillator = new OscillatorNode(context, { frequency: 660 });
  oscillator.connect(context.destination);
  oscillator.start();
};
"""
XOR = """
const scramble = ({ readable, writable }) => readable.pipeThrough(new TransformStream({
  transform(frame, out) {
    const bytes = new Uint8Array(frame.data);
    for (let at = 1; at < bytes.length; at += 1) bytes[at] ^= 0x5a; // as LiveKit and Jitsi: the first byte is clear
    frame.data = bytes.buffer;
    out.enqueue(frame);
  },
})).pipeTo(writable);
const inWorker = () => {
  const source = `const scramble = ${scramble}; onrtctransform = ({ transformer }) => scramble(transformer);`;
  return new Worker(URL.createObjectURL(new Blob([source])));
};
"""


@asynccontextmanager
async def showing(
    script: str, heard: Heard, /, headers: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[MeetingPage]:
    """A page that runs the script, open in Chromium."""
    async with (
        serve_pages({"/": page(script), "/frame": page(script)}, headers) as url,
        open_page(chromium_settings(), heard, arguments=ON_ONE_MACHINE, **options) as shown,
    ):
        await shown.goto(url)
        yield shown


@pytest.mark.parametrize("offers", ["sender", "receiver"])
async def test_each_track_is_heard_apart(offers: str) -> None:
    """Two people at once: each tone on a track of its own, whoever made the offer; closed, nothing more comes."""
    heard = Heard()
    script = f"call(tone(440), {{offers: '{offers}'}}); call(tone(1000), {{offers: '{offers}'}});"
    async with showing(script, heard) as shown:
        await heard.until(lambda: heard.pitches() == [440, 1000], "both tones")
        assert heard.said("capture") == []
        assert {track.kind for track in heard.tracks.values()} == {CapturedKind.MICROPHONE}
        await shown.evaluate("() => calls[0].receiver.close()")
        await heard.until(lambda: len(heard.open) == 1, "one is closed")
        since = time.monotonic()
        await heard.until(lambda: len(heard.pitches(since)) == 1, "the other one is heard")
    assert not heard.open


async def test_what_is_known_of_a_track() -> None:
    """The page's own ids, and the element that plays it."""
    heard = Heard()
    async with showing("call(tone(440));", heard) as shown:
        await heard.until(lambda: heard.pitches() == [440], "the tone")
        (track,) = heard.tracks.values()
        remote = await shown.evaluate("() => calls[0].remote.track.id")
        assert (track.page_track_id, track.mid) == (remote, "0")
        assert len(track.stream_ids) == 1
        assert track.frame_url.startswith("http://127.0.0.1:")
        await heard.until(lambda: track.element or heard.said("track_element"), "its element")
        (element, *_) = track.element or heard.said("track_element")[0]["element"]
        assert element == {"data-person": "p0"}


async def test_red_is_unwrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets that carry others: their own sound comes out, and not twice."""
    heard, unwrapped = Heard(), list[list[Block]]()

    def remember(payload: bytes) -> list[Block]:
        unwrapped.append(unwrap(payload))
        return unwrapped[-1]

    monkeypatch.setattr(capture, "unwrap", remember)
    async with showing("call(tone(440), {codec: 'audio/red'});", heard):
        await heard.until(lambda: heard.pitches() == [440], "the tone")
        await heard.until(lambda: len(unwrapped) > 50, "more of it")
        assert len(unwrapped[-1]) > 1
        assert heard.said("capture") == []
        seconds = time.monotonic() - heard.frames[0][0]
        assert sum(len(frame.pcm) for _, frame in heard.frames) <= (seconds + 0.5) * 16_000


async def test_another_codec_is_heard_from_the_element() -> None:
    """What is not Opus is heard as the page decodes it, at 16 kHz."""
    heard = Heard()
    async with showing("call(tone(440), {codec: 'audio/PCMU'});", heard):
        await heard.until(lambda: heard.pitches() == [440], "the tone")
        (change,) = heard.said("capture")
        assert (change["way"], "audio/pcmu" in change["why"]) == ("element", True)


TAKES = {
    "streams": "call(tone(440), {sender: {encodedInsertableStreams: true}, receiver: {encodedInsertableStreams: true},"
    "ready: (out, from) => scramble((out ?? from).createEncodedStreams())});",
    "transform": "const own = (out, from) => { (out ?? from).transform = new RTCRtpScriptTransform(inWorker()); };"
    "call(tone(440), {ready: own});",
}


@pytest.mark.parametrize("way", list(TAKES))
async def test_what_the_page_decrypts_is_heard_from_the_element(way: str) -> None:
    """End-to-end encryption by the site: it takes the frames for itself, works as before, and is heard all the same."""
    heard = Heard()
    async with showing(XOR + TAKES[way], heard):
        await heard.until(lambda: heard.pitches() == [440], "the tone", 15)
        assert [change["way"] for change in heard.said("capture")] == ["element"]


async def test_ciphertext_is_known_by_its_sound() -> None:
    """Frames that decode to something else than their sender measured: the frames are not heard any more."""
    heard = Heard()
    secret = XOR.replace("^= 0x5a", "= 256 * Math.random()")
    script = (
        secret
        + "call(tone(440), {ready: (out) => { if (out) out.transform = new RTCRtpScriptTransform(inWorker()); }});"
    )
    async with showing(script, heard):
        await heard.until(lambda: heard.said("capture"), "that it is no sound", 15)
        (change,) = heard.said("capture")
        assert "encrypted" in change["why"] or "decode" in change["why"]


async def test_what_is_played_through_webaudio_is_heard() -> None:
    """Sound that is on no track of a connection (WebCodecs, a data channel): the page's mix."""
    heard = Heard()
    script = PLAY + "play(new AudioContext());"
    async with showing(script, heard):
        await heard.until(lambda: heard.pitch(MIX_ID) and heard.pitches() == [660], "the mix", 40)
        assert heard.tracks[MIX_ID].kind is CapturedKind.MIX


async def test_what_a_track_has_is_not_heard_again_as_the_mix() -> None:
    """A page that plays its tracks through WebAudio: each once."""
    heard = Heard()
    script = PLAY + "call(tone(440)).then(() => play(tones));"
    async with showing(script, heard):
        await heard.until(lambda: heard.pitches() == [440], "the tone")
        await asyncio.sleep(5)
        assert MIX_ID not in heard.tracks


async def test_a_frame_in_the_page_is_heard() -> None:
    """A meeting inside an iframe, and one in a frame that the page writes itself."""
    heard = Heard()
    script = """
        const frame = document.createElement("iframe");
        frame.src = "/frame";
        if (location.pathname === "/") document.body.append(frame);
        else call(tone(440));
    """
    async with showing(script, heard):
        await heard.until(lambda: heard.pitches() == [440], "the tone")
        (track,) = heard.tracks.values()
        assert track.frame_url.endswith("/frame")


async def test_a_strict_policy_keeps_nothing_out() -> None:
    """A page that allows no worker, no socket and no script of strangers, and trusts no strings."""
    heard = Heard()
    policy = "default-src 'none'; script-src 'unsafe-inline'; require-trusted-types-for 'script'; trusted-types 'none'"
    async with showing("call(tone(440));", heard, {"Content-Security-Policy": policy}):
        await heard.until(lambda: heard.pitches() == [440], "the tone")


async def test_a_public_page_reaches_the_bridge_and_nothing_else_here(tmp_path: Path) -> None:
    """Over https, at an address that counts as public: it is heard, and what else listens here is out of reach."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*write_pair(tmp_path))
    heard = Heard()
    async with serve_pages({"/": page("call(tone(440));")}, tls=tls) as url, serve_pages({"/": "private"}) as private:
        public = url.removeprefix("https://")
        switches = [
            *ON_ONE_MACHINE,
            f"--host-resolver-rules=MAP meet.example.com {public}",
            f"--ip-address-space-overrides={public}=public,{{bridge}}=public",
            "--ignore-certificate-errors",
        ]
        async with open_page(chromium_settings(), heard, arguments=switches) as shown:
            await shown.goto("https://meet.example.com/")
            await heard.until(lambda: heard.pitches() == [440], "the tone")
            reach = "(url) => fetch(url, {mode: 'no-cors'}).then(() => 'reached', () => 'refused')"
            assert await shown.evaluate(reach, private) == "refused"


async def test_video_is_not_decoded() -> None:
    """Of a moving picture one key frame in 10 s reaches the decoder: the page has its size, and seldom asks for one."""
    heard = Heard()
    async with showing("call(picture()); call(tone(440));", heard) as shown:
        await heard.until(lambda: heard.pitches() == [440], "the tone")
        await asyncio.sleep(4)  # longer than a receiver waits for a frame to decode
        script = """async () => {
            const video = calls.find(({ track }) => track.kind === "video");
            const stats = [...(await video.receiver.getStats()).values()].find(({ type }) => type === "inbound-rtp");
            return { ...stats, width: video.played.videoWidth, age: performance.now() / 1000 };
        }"""
        seen = await shown.evaluate(script)
    assert seen["packetsReceived"] > 40, seen
    assert 1 <= seen["framesDecoded"] <= 1 + seen["age"] / 10, seen
    assert seen["pliCount"] <= 2 + seen["age"] / 3, seen
    assert seen["width"] == 640


async def test_a_flood_of_tracks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty connections where sixteen are heard, as eighty where 64 are (which take more than a slow machine has): so
    many tracks are opened, and heard; that there are more is said. Where some end, the others take their place."""
    heard, whole = Heard(), init_script

    def fewer(*given: Any) -> str:
        said, source = f"MAX_TRACKS = {MAX_TRACKS};", whole(*given)
        assert said in source, "page and bot have the same bound"
        return source.replace(said, "MAX_TRACKS = 16;")

    monkeypatch.setattr("bot.drivers.browser.page.init_script", fewer)
    script = "const stream = tone(440); for (let n = 0; n < 20; n += 1) call(stream, {element: false});"
    with structlog.testing.capture_logs() as logs:
        async with showing(script, heard) as shown:
            await heard.until(lambda: len(heard.open) == 16, "16 tracks")
            await heard.until(lambda: heard.pitches(), "a tone")
            assert not shown.gone.done()
            assert len(heard.tracks) == 16
            await shown.evaluate("calls.slice(0, 5).forEach(({ receiver }) => receiver.close())")
            await heard.until(lambda: len(heard.tracks) == 20, "the others")
            assert len(heard.open) <= 16
    assert [one["what"] for one in logs if one["event"] == "browser_probe_failed"] == ["to hear more than 16 tracks"]


async def test_a_flood_of_signals_is_slowed_down() -> None:
    """A probe that says something ten thousand times: a few hundred come at once, and the page is still heard."""
    heard = Heard()
    probe = "(earshot) => { for (let n = 0; n < 10000; n += 1) earshot.signal('n', n); }"
    async with showing("call(tone(440));", heard, probes=[probe]):
        began = time.monotonic()
        await heard.until(lambda: heard.pitches() == [440], "the tone", 30)
        assert len(heard.said("n")) <= 300 + 100 * (time.monotonic() - began + 2)


async def test_a_flood_of_players_is_bounded() -> None:
    """A page that makes something new for each chime: what has been closed is a track no more, of what is left open the
    last ones are heard, and there is room for people."""
    heard = Heard()
    script = PLAY + "const contexts = []; const another = () => play(contexts[contexts.push(new AudioContext()) - 1]);"
    async with showing(script + "another();", heard) as shown:
        await heard.until(lambda: heard.open, "the mix", 20)
        await shown.evaluate("for (let n = 0; n < 70; n += 1) another()")
        await heard.until(lambda: len(heard.open) >= 8, "some more")
        await shown.evaluate("call(tone(440))")
        await heard.until(lambda: any(heard.tracks[one].page_track_id for one in heard.open), "a person's track")
        await shown.evaluate("Promise.all(contexts.map((one) => one.close()))")
        await heard.until(lambda: len(heard.open) == 1, "the mixes' end", 20)


async def test_what_is_too_long_to_say_costs_nothing_else() -> None:
    """A room of five hundred fits; what does not is left out, and the page is heard all the same. So is a track whose
    element has attributes without end."""
    heard = Heard()
    probe = """(earshot) => {
        earshot.signal("room", Array.from({length: 500}, (_, at) => ({name: "Ana Maria ".repeat(24), at})));
        earshot.signal("room", "\u0416".repeat(200000));
    }"""
    script = """
        const element = document.createElement("div");
        for (let at = 0; at < 300; at += 1) element.setAttribute(`data-${at}-${"x".repeat(2000)}`, "y".repeat(300));
        document.documentElement.append(element);
        new MutationObserver((all) => all.forEach(({addedNodes}) => addedNodes.forEach((one) => {
            if (one.tagName === "AUDIO") element.append(one);
        }))).observe(document.body, {childList: true});
        call(tone(440));
    """
    async with showing(script, heard, probes=[probe]):
        await heard.until(lambda: heard.pitches() == [440], "the tone", 30)
        assert [len(one) for one in heard.said("room")] == [500]


async def test_probes_speak_and_fail_alone() -> None:
    """What a probe says arrives as it is, half of a character as one that is missing; one that raises does not keep
    others silent."""
    heard = Heard()
    probes = [
        "() => { throw new Error('no') }",
        "(earshot) => earshot.signal('speakers', {names: ['Ana\\u2028', '\"', '\\ud83d\\ude00', '\\ud83d']})",
    ]
    async with showing("", heard, probes=probes):
        await heard.until(lambda: heard.said("speakers"), "the signal")
        assert heard.said("speakers")[0] == {"names": ["Ana\u2028", '"', "😀", "\ufffd"]}


async def test_the_page_sees_nothing_of_it() -> None:
    """No global of ours, no transform of ours, functions that look native, and no sign of automation."""
    heard = Heard()
    async with showing("call(tone(440));", heard) as shown:
        await heard.until(lambda: heard.pitches() == [440], "the tone")
        seen = await shown.evaluate(
            """() => ({
                transform: calls[0].remote.transform,
                native: [RTCPeerConnection, AudioNode.prototype.connect, RTCRtpReceiver.prototype.createEncodedStreams]
                    .filter(Boolean).map((f) => Function.prototype.toString.call(f).includes("[native code]")),
                own: calls[0].receiver.constructor === RTCPeerConnection,
                webdriver: navigator.webdriver,
                agent: navigator.userAgent,
                globals: Object.getOwnPropertyNames(window).filter((name) => /earshot|playwright/i.test(name)),
            })"""
        )
    assert seen["transform"] is None
    assert all(seen["native"])
    assert seen["own"] is True
    assert not seen["webdriver"]
    assert "Headless" not in seen["agent"]
    assert seen["globals"] == []


async def test_who_does_not_know_the_token_is_refused() -> None:
    """Any page can reach the bridge's port: without the token it is told nothing but 401."""
    heard = Heard()
    async with showing("call(tone(440));", heard) as shown:
        url = f"ws://{shown._bridge.authority}/"
        for offered in (None, ["earshot"], ["earshot", "x" * 32]):
            with pytest.raises(InvalidStatus, match="401"):
                async with connect(url, subprotocols=offered):  # type: ignore[arg-type]
                    pass


SPIES = {
    "postMessage": """
        const { postMessage } = Worker.prototype;
        Worker.prototype.postMessage = function (...said) {
          overheard.push(JSON.stringify(said));
          return postMessage.apply(this, said);
        };
    """,
    "the worker's program": """
        const { createObjectURL } = URL;
        URL.createObjectURL = (made) =>
          createObjectURL(new Blob(["onmessage = ({ data }) => postMessage(data);"]));
        const own = Object.getOwnPropertyDescriptor(Worker.prototype, "onmessage");
        Object.defineProperty(Worker.prototype, "onmessage", { ...own, set(heard) {
          own.set.call(this, (event) => overheard.push(JSON.stringify(event.data)));
        } });
    """,
}


@pytest.mark.parametrize("way", list(SPIES))
async def test_a_frame_does_not_learn_the_token(way: str) -> None:
    """A frame in the page whose own scripts listen in on what they share with ours: the token does not come by."""
    heard = Heard()
    script = f"""
        window.overheard = [];
        if (location.pathname === "/") {{
          const frame = document.createElement("iframe");
          frame.src = "/frame";
          document.body.append(frame);
        }} else {{
          {SPIES[way]}
          call(tone(440));
          window.isListening = true;
        }}
    """
    async with showing(script, heard) as shown:
        overheard = "() => frames[0]?.isListening ? overheard.concat(frames[0].overheard).join() : ''"
        with contextlib.suppress(AssertionError):  # of a frame whose worker is not ours there is none
            await heard.until(lambda: heard.tracks, "its track")
        assert shown._bridge.token not in await shown.evaluate(overheard)
        assert heard.tracks
