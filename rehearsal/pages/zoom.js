// An imitation of Zoom's web client, which lives in a frame of its own origin. Variants: classic (the older door), bare (no
// frame), cookies (a banner lies over the page), devices (asks for them again and again), sleepy, late_dialog, slow, curly.
"use strict";

rehearse({
  launcher: true,
  confirms: true,
  async begin() {
    if (has("bare")) return;
    const frame = document.createElement("iframe");
    frame.id = "webclient";
    frame.style.cssText = "position:absolute;left:20px;top:30px;width:1100px;height:600px;border:2px solid";
    document.body.append(frame);
    await after(0.05);
  },
  root: () => document.querySelector("iframe#webclient")?.contentDocument.body ?? document.body,
  words: {
    title: "",
    hint: "You can zoom with two fingers",
    got_it: "Got it",
    from_browser: "Join from your browser",
    allow: "Allow",
    your_name: "Your Name",
    join: "Join",
    lobby: "Please wait, the meeting host will let you in soon.",
    not_started: "Waiting for the host to start this meeting",
    denied: "The host has denied your request to join",
    bots_refused: "We detected you may be a bot. Automated bots aren't allowed to join this meeting or webinar and must use Zoom RTMS. Sign in to join",
    sign_in: "Sign in to join this meeting",
    not_found: "This meeting link is invalid (3,000)",
    full: "This meeting has reached its capacity",
    passcode_refused: "Passcode wrong",
    ended: "This meeting has been ended by host",
    removed: "You have been removed from this meeting",
    left: "You have left the meeting",
    reconnecting: "Your connection was lost. Reconnecting...",
    you: "You",
  },
  markup(state) {
    const mute = `<button id="preview-audio-control-button" aria-label="${meeting.microphone ? "Mute" : "Unmute"}" data-action="microphone">audio</button>`;
    const video = `<button id="preview-video-control-button" aria-label="${meeting.camera ? "Stop Video" : "Start Video"}" data-action="camera">video</button>`;
    const secret = settings.passcode ? `<input id="input-for-pwd" type="password" data-field="passcode">` : "";
    const leaving = `<button aria-label="Leave" class="footer__leave-btn" data-action="leave">Leave</button>`;
    const modal = (key) => `<div class="zm-modal"><div class="zm-modal-body-title">${say(key)}</div><button>OK</button></div>`;
    const app = (inner) => `<div class="meeting-app">${inner}</div>`;
    switch (state) {
      case "loading":
      case "connecting":
        return app("");
      case "launcher":
        return `<a href="javascript:void 0" data-action="dismiss">${say("from_browser")}</a>`;
      case "door": {
        const devices = has("devices") && !meeting.answered.has("hint") ? `<button data-action="hint">${say("allow")}</button>` : "";
        const cookies = has("cookies") && !meeting.answered.has("hint")
          ? `<div style="position:fixed;inset:0;background:#eee"><button id="onetrust-accept-btn-handler" data-action="hint">Accept Cookies</button></div>` : "";
        if (has("classic")) {
          return `<input id="inputname" placeholder="${say("your_name")}" data-field="name">${secret}
            <button id="joinBtn" data-action="join" ${meeting.name.trim() ? "" : "disabled"}>${say("join")}</button>${cookies}${devices}`;
        }
        return `<input id="input-for-name" type="text" data-field="name">${secret}${mute}${video}
          <button class="zm-btn preview-join-button" data-action="join" ${meeting.name.trim() ? "" : "disabled"}>${say("join")}</button>${cookies}${devices}`;
      }
      case "lobby": // in the shell of the meeting, with its button to leave
        return app(`<p>${say("lobby")}</p><div id="wc-footer">${leaving}</div>`);
      case "not_started":
        return app(`<p>${say("not_started")}</p>${leaving}`);
      case "inside":
        return app(`<h2 class="meeting-info-icon__meeting-topic-text">${say("title")}</h2><div data-part="people"></div><div id="wc-footer" style="opacity:${meeting.isAwake ? 1 : 0}"><div class="footer__btns-container">
          <button aria-label="Chat" data-action="chat">Chat</button>
          <button aria-label="open the participants list"><span class="footer-button__participants-icon">P</span><span data-part="count" class="footer-button__number-counter"></span></button>${leaving}</div></div>
          <div class="chat-container" ${meeting.isChatOpen ? "" : "hidden"}><div data-part="chat"></div>
          ${meeting.isChatOpen ? `<textarea class="chat-box__chat-textarea" data-field="chat"></textarea>` : ""}</div>`);
      case "leaving":
        return app(`${leaving}<div class="leave-meeting-options"><button class="leave-meeting-options__btn leave-meeting-options__btn--danger" data-action="leave_confirm">Leave Meeting</button></div>`);
      case "bots_refused":
        return `<p>${say("bots_refused")}</p><iframe src="about:blank?recaptcha" width="1" height="1"></iframe>`;
      case "captcha":
        return `<iframe src="about:blank?recaptcha" title="reCAPTCHA" width="304" height="78"></iframe>`;
      case "ended":
      case "removed":
      case "left":
        return app(modal(state));
      default:
        return `<h1>${say(state)}</h1>`;
    }
  },
  people(all) {
    const tile = (name, speaks, ours) => `<div class="speaker-bar-container__video-frame ${speaks ? "speaker-bar-container__video-frame--active" : ""}"
      ${ours ? 'data-is-self="true"' : ""}><div class="video-avatar__avatar"><div class="video-avatar__avatar-footer"><span>${escaped(name)}</span></div></div></div>`;
    return tile(meeting.name || "Us", false, true) + all.map((one) => tile(one.name, one.speaks, false)).join("");
  },
  line: (author, text) => `<div class="chat-item-container"><span class="chat-item__sender">${author}</span><div class="chat-rtf-box__display">${text}</div></div>`,
});
