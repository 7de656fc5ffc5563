// Jitsi Meet's own word: APP.conference and its store. Returns null where a build has neither.
(view) => {
  const app = view.APP;
  if (!app || !app.conference || typeof app.conference.isJoined !== "function") return null;
  const state = app.store ? app.store.getState() : {};
  const all = state["features/base/participants"] || {};
  const conference = state["features/base/conference"] || {};
  const tracks = state["features/base/tracks"] || [];
  const local = all.local || {};
  const remote = all.remote instanceof Map ? [...all.remote.values()] : Object.values(all.remote || {});
  const joined = app.conference.isJoined() === true;
  const people = remote
    .filter((person) => person && person.id && !person.fakeParticipant && !person.hidden)
    .map((person) => {
      const own = tracks.filter((track) => track.participantId === person.id && track.mediaType === "audio");
      return {
        id: person.id,
        name: person.name || "",
        us: false,
        speaks: all.dominantSpeaker === person.id,
        muted: own.length > 0 ? own.every((track) => track.muted === true) : null,
        tracks: own.map((track) => track.jitsiTrack && track.jitsiTrack.track && track.jitsiTrack.track.id).filter((id) => id),
      };
    });
  const signs = {};
  if (!joined && conference.membersOnly) signs.lobby = "features/base/conference.membersOnly";
  return { joined, people: [{ id: local.id || "", name: local.name || "", us: true }, ...people], signs };
}
