// The bridge from one frame to the bot: encoded frames, PCM and messages in, one socket out. Its wire: bridge.py.
"use strict";
const MAX_BUFFERED_BYTES = 262144; // beyond it (a bot that does not read) audio is dropped: its clock shows the hole
const MAX_MESSAGE_BYTES = 262144; // a longer one would end the connection
const MAX_WAITING = 256; // messages before the socket is open; then beats and signals are dropped
const [SIGNALS_PER_S, SIGNALS_AT_ONCE] = [50, 100]; // beyond it they are dropped: a probe cannot keep our own words back
const KEY_FRAME_EVERY_MS = 10000; // of a source: a receiver that has lost its decoder's state is mended after so long
let socket;
const waiting = [];

const connect = ({ url, token }) => {
  socket = new WebSocket(url, ["earshot", token]);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    for (const message of waiting.splice(0)) socket.send(message);
  };
  socket.onmessage = ({ data }) => postMessage(JSON.parse(data));
  setInterval(() => {
    say({ type: "beat" });
    postMessage({ tick: true });
  }, 1000);
};
let [allowed, since] = [SIGNALS_AT_ONCE, 0];
const mayGo = () => {
  const now = performance.now();
  allowed = Math.min(SIGNALS_AT_ONCE, allowed + ((now - since) / 1000) * SIGNALS_PER_S);
  since = now;
  return allowed >= 1 && (allowed -= 1) >= 0;
};
// Half of a character, as where a name was cut in the middle of one, is no JSON to others.
const whole = (_, value) => (typeof value === "string" ? value.toWellFormed?.() ?? value : value);
const written = (message) => {
  const text = JSON.stringify(message, whole);
  if (text.length <= MAX_MESSAGE_BYTES / 3 || new TextEncoder().encode(text).length <= MAX_MESSAGE_BYTES) return text;
  if (message.element?.length) return written({ ...message, element: [] });
  return JSON.stringify({ type: "failed", what: `to say a ${message.type} of ${text.length} characters` });
};
const say = (message) => {
  const isOwn = message.type !== "signal" && message.type !== "beat";
  if (message.type === "signal" && !mayGo()) return;
  if (socket?.readyState === WebSocket.OPEN) socket.send(written(message));
  else if (isOwn || waiting.length < MAX_WAITING) waiting.push(written(message));
};
const sendAudio = (header, payload) => {
  if (socket?.readyState !== WebSocket.OPEN || socket.bufferedAmount > MAX_BUFFERED_BYTES) return;
  const message = new Uint8Array(16 + payload.byteLength);
  new Uint8Array(header.buffer).forEach((byte, at) => (message[at] = byte));
  message.set(new Uint8Array(payload), 16);
  socket.send(message);
};

// kind (0 Opus, 1 RED, 2 PCM), level (-dBov; 255: unknown), track, sequence number, payload type, 0, timestamp, SSRC
const header = (kind, level, track, sequence, type, timestamp, ssrc) => {
  const view = new DataView(new ArrayBuffer(16));
  view.setUint8(0, kind);
  view.setUint8(1, level);
  view.setInt16(2, track);
  view.setUint16(4, sequence);
  view.setUint8(6, type);
  view.setUint32(8, timestamp);
  view.setUint32(12, ssrc);
  return view;
};
const KINDS = { "audio/opus": 0, "audio/red": 1 };

const audio = async (track, readable, writable) => {
  const reader = readable.getReader();
  const writer = writable.getWriter();
  let sources = "";
  let foreign;
  for (;;) {
    const { done, value: frame } = await reader.read();
    if (done) return;
    const about = frame.getMetadata();
    const mime = (about.mimeType ?? "audio/opus").toLowerCase();
    const kind = KINDS[mime];
    if (kind === undefined) {
      if (foreign !== mime) say({ type: "codec", track, codec: (foreign = mime) });
    } else if (frame.data.byteLength) {
      const contributing = about.contributingSources ?? [];
      if (String(contributing) !== sources) {
        sources = String(contributing);
        say({ type: "sources", track, sources: contributing }); // before the sound that is theirs
      }
      const level = about.audioLevel == null ? 255 : about.audioLevel > 0 ? Math.min(127, Math.round(-20 * Math.log10(about.audioLevel))) : 127;
      sendAudio(header(kind, Math.max(0, level), track, about.sequenceNumber, about.payloadType, about.rtpTimestamp, about.synchronizationSource), frame.data);
    }
    writer.write(frame).catch(() => {}); // the page decodes it too: its own meters and elements go on
  }
};

// Of a source its first key frame is decoded, and one now and then: the page has its picture's size. A receiver that never
// decoded one would ask for one every 0.2 s; one that did asks every 3 s, whether it gets them or not.
const video = async (readable, writable) => {
  const reader = readable.getReader();
  const writer = writable.getWriter();
  let source;
  let passed;
  for (;;) {
    const { done, value: frame } = await reader.read();
    if (done) return;
    if (frame.type !== "key") continue;
    const { synchronizationSource } = frame.getMetadata();
    if (synchronizationSource === source && performance.now() < passed + KEY_FRAME_EVERY_MS) continue;
    [source, passed] = [synchronizationSource, performance.now()];
    writer.write(frame).catch(() => {});
  }
};

const pump = (options, readable, writable) => {
  const pumping = options.video ? video(readable, writable) : audio(options.track, readable, writable);
  pumping.catch(() => {}); // the receiver is gone
};
onrtctransform = ({ transformer }) => pump(transformer.options, transformer.readable, transformer.writable);
onmessage = ({ data }) => {
  if (data.connect) connect(data.connect);
  else if (data.post) say(data.post);
  else if (data.streams) pump(data.streams, data.readable, data.writable);
  else if (data.port) {
    data.port.onmessage = ({ data: { frame, pcm } }) => sendAudio(header(2, 255, data.pcm, 0, 0, frame, 0), pcm);
  }
};
