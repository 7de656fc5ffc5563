// What the pages of a rehearsal share: signalling and WebRTC with the room, the state of the meeting, and drawing. A
// platform's script calls `rehearse(page)` with its words, its markup for each state, and what is its own.
"use strict";

const settings = window.REHEARSAL;
const has = (variant) => settings.variants.includes(variant);
const meeting = {
  state: "loading",
  name: "",
  passcode: "",
  camera: true,
  microphone: true,
  people: new Map(), // id → { name, muted, track, media }
  speaking: new Set(),
  chat: [],
  captions: [],
  hasCaptions: false,
  answered: new Set(), // dialogs that are gone
  isAwake: !has("sleepy"),
};
let page;
let socket = null;
let isOver = false;
const connections = new Map(); // track → RTCPeerConnection

const escaped = (text) => String(text).replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
const say = (key) => {
  const words = settings.words[key] ?? page.words[key] ?? key;
  return escaped(has("curly") ? words.replaceAll("'", "\u2019") : words);
};
const after = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

// --- drawing

const root = () => (page.root ? page.root() : document.body);
const draw = () => {
  const field = root().querySelector("input[data-field=name]");
  if (field) meeting.name = field.value;
  const secret = root().querySelector("input[data-field=passcode]");
  if (secret) meeting.passcode = secret.value;
  root().innerHTML = page.markup(meeting.state) + dialogs();
  for (const one of root().querySelectorAll("input[data-field]")) one.value = meeting[one.dataset.field];
  drawPeople();
};
const dialogs = () => {
  const late = has("late_dialog") && meeting.isLate && !meeting.answered.has("hint");
  return late ? `<div role="dialog" style="position:fixed;inset:0;background:#0008"><p>${say("hint")}</p>
    <button data-action="hint">${say("got_it")}</button></div>` : "";
};
const drawPeople = () => {
  const part = root().querySelector("[data-part=people]");
  if (part) {
    part.innerHTML = page.people([...meeting.people].map(([id, person]) => ({ id, ...person, speaks: meeting.speaking.has(id) })));
  }
  const captions = root().querySelector("[data-part=captions]");
  if (captions) {
    const shown = meeting.hasCaptions ? meeting.captions.slice(-3) : [];
    captions.innerHTML = shown.map((line) => page.caption(escaped(line.author), escaped(line.text))).join("");
  }
  for (const one of root().querySelectorAll("[data-part=count]")) {
    const count = String(meeting.people.size + 1);
    if (one.hasAttribute("aria-label")) one.setAttribute("aria-label", one.getAttribute("aria-label").replace(/\d+/, count));
    else one.textContent = count;
  }
  const chat = root().querySelector("[data-part=chat]");
  // as on real pages there is nothing of a chat that is not open
  if (chat) chat.innerHTML = (meeting.isChatOpen ? meeting.chat : []).map((line) => page.line(escaped(line.author || say("you")), escaped(line.text))).join("");
};
const enter = (state) => {
  if (settings.state && state !== "loading") state = settings.state;
  meeting.state = state;
  draw();
};

// --- what people do in the page: only real input counts

const actions = {
  hint: () => meeting.answered.add("hint"),
  camera: () => (meeting.camera = !meeting.camera),
  microphone: () => (meeting.microphone = !meeting.microphone),
  dismiss: () => enter(page.first && !meeting.answered.has("launcher") ? (meeting.answered.add("launcher"), page.first()) : "door"),
  join: () => {
    if (!meeting.name.trim() && !page.isSignedIn) return;
    if (settings.passcode && meeting.passcode !== settings.passcode) return enter(meeting.passcode ? "passcode_refused" : "door");
    connect();
  },
  admit_recorded: () => {
    meeting.answered.add("recording");
    enter("inside");
  },
  captions: () => (meeting.hasCaptions = !meeting.hasCaptions),
  chat: () => (meeting.isChatOpen = !meeting.isChatOpen),
  send: () => {
    const field = root().querySelector("[data-field=chat]");
    const text = (field.value ?? field.innerText).trim();
    if (!text) return;
    tell({ type: "chat", text });
    if ("value" in field) field.value = "";
    else field.innerText = "";
  },
  leave: () => (page.confirms ? enter("leaving") : leave()),
  leave_confirm: () => leave(),
};
const leave = () => {
  isOver = true;
  tell({ type: "leave" });
  enter("left");
};
const listen = (target) => {
  target.addEventListener("click", (event) => {
    const one = event.target.closest("[data-action]");
    if (!one || !event.isTrusted || one.disabled) return;
    for (const field of root().querySelectorAll("input[data-field]")) meeting[field.dataset.field] = field.value;
    const before = meeting.state;
    actions[one.dataset.action]();
    if (one.dataset.action !== "send" && meeting.state === before) draw();
  });
  target.addEventListener("input", (event) => {
    const field = event.target.dataset.field;
    if (field === "name") {
      meeting.name = event.target.value;
      for (const one of root().querySelectorAll("[data-action=join]")) one.disabled = !meeting.name.trim();
    }
  });
  target.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.dataset.field === "chat") {
      event.preventDefault();
      actions.send();
    }
  });
  target.addEventListener("mousemove", (event) => {
    if (!meeting.isAwake && event.isTrusted) {
      meeting.isAwake = true;
      draw();
    }
  });
};

// --- the room

const tell = (message) => socket && socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
const random = () => [...crypto.getRandomValues(new Uint8Array(16))].join("-"); // unlike `randomUUID` over http, too
const identity = sessionStorage.getItem("identity") ?? random();
sessionStorage.setItem("identity", identity);
const connect = () => {
  enter("connecting");
  socket = new WebSocket(`ws://${location.host}/`);
  socket.onopen = () => tell({ type: "join", identity, name: meeting.name || "?" });
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = async () => {
    hangUp();
    if (isOver || !["inside", "reconnecting", "connecting"].includes(meeting.state)) return;
    if (meeting.state !== "reconnecting") {
      enter("reconnecting");
      await after(2.0); // real pages take that long at least
    }
    await after(0.4);
    connect();
    if (meeting.state === "connecting") enter("reconnecting");
  };
};
const over = (state) => {
  isOver = true;
  hangUp();
  enter(state);
};
const receive = async (message) => {
  const person = meeting.people.get(message.participant);
  switch (message.type) {
    case "lobby":
      hangUp();
      return enter("lobby");
    case "admitted":
      meeting.people.clear();
      for (const one of message.participants) meeting.people.set(one.participant, { name: one.name, muted: one.muted, track: one.track });
      return enter(has("recorded") && !meeting.answered.has("recording") ? "recorded" : "inside");
    case "show":
      return enter(message.state);
    case "refused":
      return over("denied");
    case "removed":
      return over("removed");
    case "ended":
      return over("ended");
    case "replaced":
      return over("left");
    case "joined":
      meeting.people.set(message.participant, { name: message.name, muted: false, track: null });
      break;
    case "renamed":
      if (person) person.name = message.name;
      break;
    case "left":
      meeting.people.delete(message.participant);
      break;
    case "track_opened":
      if (person) Object.assign(person, { track: message.track, muted: message.muted });
      break;
    case "track_closed":
      close(message.track);
      break;
    case "muted_person":
    case "unmuted_person":
      if (person) person.muted = message.type === "muted_person";
      break;
    case "speaking":
      meeting.speaking = new Set(message.participants);
      break;
    case "chat":
      meeting.chat.push({ author: message.author, text: message.text });
      break;
    case "caption": {
      const last = meeting.captions.at(-1);
      if (last && last.author === message.author && message.text.startsWith(last.text)) last.text = message.text;
      else meeting.captions.push({ author: message.author, text: message.text });
      break;
    }
    case "offer":
      return answer(message.track, message.sdp);
  }
  drawPeople();
};
const answer = async (track, sdp) => {
  const connection = new RTCPeerConnection({ iceServers: [] });
  connections.set(track, connection);
  connection.ontrack = (event) => {
    const audio = new Audio();
    audio.autoplay = true;
    audio.srcObject = new MediaStream([event.track]);
    audio.dataset.track = track;
    audio.style.display = "none";
    (document.querySelector("[data-part=audio]") ?? document.documentElement.appendChild(Object.assign(document.createElement("div"), { dataset: {} }))).append(audio);
    for (const person of meeting.people.values()) if (person.track === track) person.media = event.track;
  };
  await connection.setRemoteDescription({ type: "offer", sdp });
  await connection.setLocalDescription();
  if (connection.iceGatheringState !== "complete") {
    await new Promise((resolve) => {
      connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve();
      setTimeout(resolve, 1000);
    });
  }
  tell({ type: "answer", track, sdp: connection.localDescription.sdp });
};
const close = (track) => {
  connections.get(track)?.close();
  connections.delete(track);
  document.querySelector(`audio[data-track="${track}"]`)?.remove();
};
const hangUp = () => [...connections.keys()].forEach(close);

// --- the beginning

const rehearse = async (platform) => {
  page = platform;
  const holder = document.createElement("div");
  holder.dataset.part = "audio";
  document.documentElement.append(holder);
  if (page.begin) await page.begin();
  listen(page.root ? page.root().ownerDocument : document);
  enter("loading");
  if (has("slow")) await after(1.5);
  // as real sites do for the picture of oneself; a page that may use the devices may also use the machine's addresses
  navigator.mediaDevices?.getUserMedia({ audio: true, video: true }).catch(() => {});
  enter(page.launcher && has("launcher") ? "launcher" : "door");
  if (has("late_dialog")) {
    await after(1.0);
    meeting.isLate = true;
    draw();
  }
};
