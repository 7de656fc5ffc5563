// An imitation of Google Meet's page. Variants: sleepy (the toolbar hides until the pointer moves), old (an older door),
// recorded (asks again after admission), late_dialog, slow, curly.
"use strict";

rehearse({
  words: {
    title: "",
    hint: "Others may see your meeting differently",
    got_it: "Got it",
    your_name: "Your name",
    join: "Ask to join",
    join_now: "Join now",
    recorded: "This meeting is being recorded",
    camera: "Turn off camera",
    microphone: "Turn off microphone",
    lobby: "Asking to be let in...",
    lobby_more: "You'll join the call when someone lets you in",
    home: "Return to home screen",
    not_started: "Waiting for the host to join",
    unanswered: "No one responded to your request to join the call",
    denied: "Someone in the call denied your request to join",
    blocked: "You can't join this video call",
    sign_in: "Sign in with your Google Account",
    consent: "Gemini wants to take notes for me",
    not_found: "Check your meeting code",
    full: "This video call is full",
    ended: "Your host ended the meeting for everyone",
    removed: "You've been removed from the meeting",
    left: "You left the meeting",
    reconnecting: "You lost your network connection. Trying to reconnect.",
    you: "You",
  },
  markup(state) {
    const devices = `
      ${meeting.microphone ? `<button jsname="mic" aria-label="${say("microphone")}" data-action="microphone">mic</button>` : `<button aria-label="Turn on microphone" data-action="microphone">mic</button>`}
      ${meeting.camera ? `<button jsname="cam" aria-label="${say("camera")}" data-action="camera">cam</button>` : `<button aria-label="Turn on camera" data-action="camera">cam</button>`}`;
    const toolbar = `<div role="toolbar" style="opacity:${meeting.isAwake ? 1 : 0}">${devices}
      <button jsname="CQylAd" aria-label="Leave call" data-action="leave">leave</button>`;
    const phantom = `<div data-participant-id="spaces/x/devices/0" aria-label="Backgrounds and effects">visual_effects Backgrounds and effects</div>`;
    const alone = (key) => `<h1>${say(key)}</h1>`;
    switch (state) {
      case "loading":
      case "connecting":
        return `<div class="spinner"></div>`;
      case "door": {
        const label = has("old") ? `placeholder="${say("your_name")}"` : `aria-label="${say("your_name")}"`;
        return `${phantom}<div jscontroller="x"><input jsname="YPqjbf" type="text" ${label} data-field="name">${devices}
          <button jsname="Qx7uuf" data-action="join" ${meeting.name.trim() ? "" : "disabled"}><span>${say("join")}</span></button></div>`;
      }
      case "lobby":
        return `${phantom}<h1>${say("lobby")}</h1><p>${say("lobby_more")}</p>${toolbar}</div><button>${say("home")}</button>`;
      case "recorded":
        return `<p>${say("recorded")}</p><button data-action="admit_recorded"><span>${say("join_now")}</span></button>${toolbar}</div>`;
      case "inside":
        return `<h2 data-meeting-title="t">${say("title")}</h2><div data-part="people"></div>${toolbar}
          <button data-part="count" aria-label="People - 1 joined">people</button>
          <button aria-label="Present now">present</button>
          <button aria-label="${meeting.hasCaptions ? "Turn off captions" : "Turn on captions"}" data-action="captions">cc</button>
          <button aria-label="Chat with everyone" data-action="chat">chat</button></div>
          <div role="region" aria-label="Captions" data-part="captions"></div>
          <div data-part="chat" ${meeting.isChatOpen ? "" : "hidden"}></div>
          ${meeting.isChatOpen ? `<textarea aria-label="Send a message" data-field="chat"></textarea>` : ""}`;
      case "captcha":
        return `<h1>${say("blocked")}</h1><iframe src="about:blank?recaptcha" title="reCAPTCHA" width="300" height="80"></iframe>`;
      case "blocked":
        return `${alone(state)}<button>${say("home")}</button>`;
      case "consent":
        return `<div role="dialog"><p>${say("consent")}</p><button>Accept</button><button>Decline</button></div>${toolbar}</div>`;
      default:
        return alone(state);
    }
  },
  people(all) {
    const ours = `<div data-participant-id="spaces/x/devices/0" data-self-name="${escaped(meeting.name || "Us")}"><span class="notranslate">${escaped(meeting.name || "Us")}</span></div>`;
    const tile = (person) => `<div data-participant-id="${escaped(person.id)}"><span class="notranslate">${escaped(person.name)}</span>
      <div class="${person.speaks ? "Oaajhc HX2H7" : "gjg47c"}" data-audio-level="${person.speaks ? 0.4 : 0}">level</div></div>`;
    return ours + all.map(tile).join("");
  },
  caption: (author, text) => `<div><span class="NWpY1d">${author}</span><div class="ygicle">${text}</div></div>`,
  line: (author, text) => `<div data-message-id="m"><span data-sender-name="${author}">${author}</span><span data-message-text="${text}">${text}</span></div>`,
});
