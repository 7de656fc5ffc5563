// What livekit-client's Room looks like, said whenever it changes. The page shows its Room as `window.__lk_room`, and
// why it could not connect, if it says so, as `window.__lk_failure`.
(earshot) => {
  if (window !== window.top) return;
  let room, said;
  const participant = (one) => ({
    identity: one.identity,
    name: (one.name || one.identity).slice(0, 256),
    kind: one.kind,
    hidden: Boolean(one.permissions?.hidden),
    tracks: [...one.trackPublications.values()]
      .filter(({ kind }) => kind === "audio")
      .map((publication) => ({
        sid: publication.trackSid,
        media: publication.track?.mediaStreamTrack?.id ?? null,
        muted: Boolean(publication.isMuted),
        source: publication.source,
        encrypted: Boolean(publication.isEncrypted),
      })),
  });
  const say = () => {
    const seen = {
      state: room.state,
      decrypts: Boolean(room.isE2EEEnabled),
      people: [...room.remoteParticipants.values()].slice(0, 500).map(participant),
    };
    const text = JSON.stringify(seen);
    if (text === said) return;
    said = text;
    earshot.signal("room", seen);
  };
  // Many may come at once, and signals beyond the allowed rate are dropped: the last look must be none of those.
  const PAUSE_MS = 100;
  let pausing = false;
  let isStale = false;
  const look = () => {
    isStale = true;
    if (pausing) return;
    [pausing, isStale] = [true, false];
    say();
    setTimeout(() => {
      pausing = false;
      if (isStale) look();
    }, PAUSE_MS);
  };
  const follow = () => {
    const events = [
      "connected", "reconnecting", "signalReconnecting", "reconnected", "connectionStateChanged", "participantConnected",
      "participantDisconnected", "participantNameChanged", "participantPermissionsChanged", "trackPublished",
      "trackUnpublished", "trackSubscribed", "trackUnsubscribed", "trackMuted", "encryptionError",
    ];
    for (const event of events) room.on(event, () => queueMicrotask(look));
    room.on("trackUnmuted", () => queueMicrotask(say)); // somebody is about to speak
    room.on("disconnected", (reason) => earshot.signal("disconnected", { reason: reason ?? 0 }));
    look();
  };
  const waiting = setInterval(() => {
    if (window.__lk_failure) {
      clearInterval(waiting);
      earshot.signal("failed", { why: String(window.__lk_failure).slice(0, 300) });
    } else if (window.__lk_room && window.__lk_room.on) {
      room = window.__lk_room;
      if (!said) follow();
    }
  }, 100);
}
