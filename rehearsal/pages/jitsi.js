// An imitation of Jitsi Meet's page, with the part of its programming interface that bots read. Variants: no_api (a build
// without it), members_only (the lobby is only in the store), shell (the stage is there in the lobby, too), late_dialog, slow, curly.
"use strict";

const wishes = Object.fromEntries(
  location.hash
    .slice(1)
    .split("&")
    .map((wish) => [wish.split("=")[0], decodeURIComponent(wish.slice(wish.indexOf("=") + 1))]),
);
if (wishes["userInfo.displayName"]) meeting.name = JSON.parse(wishes["userInfo.displayName"]);

if (!has("no_api")) {
  window.APP = {
    conference: { isJoined: () => meeting.state === "inside" },
    store: {
      getState: () => ({
        "features/base/participants": {
          local: { id: "0ur5e1f", name: meeting.name },
          remote: new Map([...meeting.people].map(([id, person]) => [id, { id, name: person.name }])),
          dominantSpeaker: [...meeting.speaking][0],
        },
        "features/base/tracks": [...meeting.people]
          .filter(([, person]) => person.track)
          .map(([id, person]) => ({ participantId: id, mediaType: "audio", muted: person.muted, jitsiTrack: { track: person.media } })),
        "features/base/conference": { membersOnly: meeting.state === "lobby" ? {} : undefined },
      }),
    },
  };
}

rehearse({
  words: {
    title: "",
    hint: "Drag the video to move it",
    got_it: "Got it",
    your_name: "Enter your name",
    join: "Join meeting",
    password: "Enter password",
    lobby: "Asking to join meeting...",
    not_started: "Waiting for the host ...",
    denied: "Your request to join has been declined by a moderator.",
    sign_in: "Sorry, you're not allowed to join this call.",
    full: "The maximum number of participants has been reached",
    passcode_refused: "Incorrect password",
    ended: "The meeting has been terminated",
    removed: "Ouch! You have been kicked out of the meeting!",
    left: "Thank you for using Jitsi Meet!",
    reconnecting: "You have been disconnected.",
    you: "me",
  },
  markup(state) {
    const hangup = `<div class="toolbox-content-items"><div class="hangup-button" role="button" aria-label="Leave the meeting" data-action="leave">leave</div></div>`;
    const stage = `<div id="largeVideoContainer"></div>`;
    switch (state) {
      case "loading":
      case "connecting":
        return `<div class="loading"></div>`;
      case "door":
        return `<div class="premeeting-screen" data-testid="prejoin.screen"><input id="premeeting-name-input" placeholder="${say("your_name")}" data-field="name">
          ${settings.passcode ? `<input name="lockKey" type="password" data-field="passcode">` : ""}
          <div role="button" data-testid="prejoin.joinMeeting" data-action="join">${say("join")}</div></div>`;
      case "lobby": {
        const words = has("members_only") ? `<p>...</p>` : `<div class="lobby-screen"><span data-testid="lobby.joiningMessage">${say("lobby")}</span></div>`;
        return `${has("shell") ? stage : ""}${words}${hangup}`;
      }
      case "inside":
        return `<h2 class="subject-text--content">${say("title")}</h2>${stage}<div class="filmstrip"><span id="localVideoContainer">${escaped(meeting.name)}</span><div data-part="people"></div></div>${hangup}
          <button data-testid="toolbox.participants">people</button><button aria-label="Open chat" data-action="chat">chat</button>
          <div id="chatconversation" data-part="chat"></div>
          ${meeting.isChatOpen ? `<div id="chat-input"><textarea data-field="chat"></textarea></div>` : ""}`;
      default:
        return `<h1>${say(state)}</h1>`;
    }
  },
  people: (all) => all.map((one) => `<span id="participant_${escaped(one.id)}" class="${one.speaks ? "dominant-speaker" : ""}"><span class="displayname">${escaped(one.name)}</span></span>`).join(""),
  line: (author, text) => `<div class="chatmessage-wrapper"><span class="display-name">${author}</span><div class="usermessage">${text}</div></div>`,
});
