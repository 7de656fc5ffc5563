// An imitation of the web page of Microsoft Teams. Variants: launcher (an application is offered first), old (another
// field for the name), no_devices (asks before the door opens), late_dialog, slow, curly.
"use strict";

rehearse({
  launcher: true,
  first: () => (has("no_devices") ? "no_devices" : "door"),
  words: {
    title: "",
    hint: "Something new",
    got_it: "Got it",
    use_browser: "Continue on this browser",
    no_devices: "Are you sure you don't want audio or video?",
    without_devices: "Continue without audio or video",
    your_name: "Type your name",
    join: "Join now",
    lobby: "Someone will let you in shortly",
    not_started: "When the meeting starts, we'll let people know you're waiting",
    denied: "Sorry, but you were denied access to the meeting",
    blocked: "Sorry, we couldn't connect you",
    captcha: "Verify you're a real person",
    sign_in: "We need to verify your info before you can join",
    not_found: "Looks like the meeting URL is incorrect. Please check the URL and try again.",
    full: "This meeting is full",
    passcode_refused: "The passcode is incorrect",
    ended: "The meeting has ended",
    removed: "You've been removed from this meeting",
    left: "You left the meeting",
    reconnecting: "Connection lost. Reconnecting...",
    you: "You",
  },
  markup(state) {
    const hangup = `<button id="hangup-button" data-tid="hangup-main-btn" aria-label="Leave" data-action="leave">Leave</button>`;
    const door = (joining) => `
      <input ${has("old") ? "" : 'data-tid="prejoin-display-name-input"'} placeholder="${say("your_name")}" data-field="name" ${joining ? "disabled" : ""}>
      ${settings.passcode ? `<input data-tid="passcode-input" type="password" placeholder="Meeting passcode" data-field="passcode">` : ""}
      <div role="switch" data-tid="toggle-video" aria-checked="${meeting.camera}" data-action="camera">camera</div>
      <div role="switch" data-tid="toggle-mute" aria-checked="${meeting.microphone}" data-action="microphone">microphone</div>
      <button data-tid="prejoin-join-button" data-action="join" ${joining || !meeting.name.trim() ? "disabled" : ""}>${say("join")}</button>`;
    switch (state) {
      case "loading":
        return `<div class="loading"></div>`;
      case "launcher":
        return `<h1>How do you want to join?</h1><button data-tid="joinOnWeb" data-action="dismiss">${say("use_browser")}</button>`;
      case "no_devices":
        return `<div role="dialog"><p>${say("no_devices")}</p><button data-action="dismiss">${say("without_devices")}</button></div>`;
      case "connecting":
        return door(true);
      case "door":
        return door(false);
      case "lobby": // the door stays, with a button that hangs up
        return `${door(true)}<p>${say("lobby")}</p>${hangup}<button data-tid="prejoin-cancel-button">Cancel</button>`;
      case "not_started":
        return `${door(true)}<p>${say("not_started")}</p>${hangup}`;
      case "inside":
        return `<h2 data-tid="call-title">${say("title")}</h2><div data-tid="stage-layout"><div data-part="people"></div></div><div role="toolbar">
          <button id="view-mode-button">View</button><button id="raisehands-button">Raise</button>
          <button id="roster-button">People<span data-part="count" data-tid="toolbar-item-badge"></span></button>
          <button id="chat-button" data-action="chat">Chat</button><button id="closed-captions-button" data-action="captions">CC</button><button id="callingButtons-showMoreBtn">More</button>${hangup}</div>
          <div data-tid="closed-caption-renderer-wrapper" data-part="captions"></div>
          <div data-part="chat" ${meeting.isChatOpen ? "" : "hidden"}></div>
          ${meeting.isChatOpen ? `<div data-tid="ckeditor" contenteditable="true" aria-label="Type a message" data-field="chat" style="min-height:1em"></div>` : ""}`;
      case "reconnecting":
        return `<div data-tid="stage-layout"><p>${say("reconnecting")}</p></div>${hangup}`;
      case "sign_in":
        return `<p>${say("sign_in")}</p><button>Sign in</button>`;
      case "denied":
        return `<p>${say("denied")}</p><button data-tid="calling-retry-cancelbutton">Dismiss</button>`;
      default:
        return `<h1>${say(state)}</h1>`;
    }
  },
  people(all) {
    const tile = (name, id, speaks, ours) => `<div data-stream-type="Video" data-tid="${escaped(name)}" ${ours ? 'data-is-local="true"' : ""}>
      <div data-tid="voice-level-stream-outline" class="${speaks ? "vdi-frame-occlusion" : ""}">
      <span data-tid="participant-info-nametag">${escaped(name)}</span></div></div>`;
    return tile(meeting.name || "Us", "us", false, true) + all.map((one) => tile(one.name, one.id, one.speaks, false)).join("");
  },
  caption: (author, text) => `<div class="fui-ChatMessageCompact"><span data-tid="author">${author}</span><span data-tid="closed-caption-text">${text}</span></div>`,
  line: (author, text) => `<div data-tid="chat-pane-message"><span data-tid="message-author-name">${author}</span><div data-tid="message-body">${text}</div></div>`,
});
