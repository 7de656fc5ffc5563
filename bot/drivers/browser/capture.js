// The engine's part in a page: runs in every frame before the page's own scripts, as
// `(start)(settings, probes)`. All of it lives in this closure: the page sees a connection that behaves like its own.
(settings, probes) => {
  "use strict";
  const { RTCPeerConnection, RTCRtpReceiver, RTCRtpScriptTransform, MediaStream, Audio, AudioContext } = window;
  const { AudioNode, AudioDestinationNode, AudioWorkletNode, MessageChannel, Worker, Blob, URL } = window;
  if (!Worker || !URL) return;

  // --- the bridge: one worker with one socket per frame that has something to say

  let worker;
  const module = (source) => URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  // Whoever has the token may speak for us: neither the program that is given it nor the way there is looked up later,
  // when the frame's own scripts may have put theirs in its place.
  const program = module(settings.worker);
  const { apply } = Reflect;
  const { postMessage } = Worker.prototype;
  const bridge = () => {
    if (worker) return worker;
    worker = new Worker(program);
    worker.onmessage = ({ data }) => {
      if (data.tick) tick();
      else if (data.element) captureElement(data.element);
      else if (data.mix) captureMix();
    };
    apply(postMessage, worker, [{ connect: { url: settings.url, token: settings.token } }]);
    return worker;
  };
  const post = (message, transfer) => bridge().postMessage({ post: message }, transfer ?? []);

  // --- tracks

  const MAX_TRACKS = 64; // per frame; the bot holds the same bound for the page
  const tracks = new Map(); // number -> track that is open
  const known = new WeakMap(); // receiver -> its track, open or not
  const crowd = new Map(); // receiver -> its connection and event, where there is no room for its track yet
  let isCrowded = false; // and that was said
  const ours = new WeakSet(); // transforms of ours
  let count = 0;

  const transform = RTCRtpReceiver && Object.getOwnPropertyDescriptor(RTCRtpReceiver.prototype, "transform");
  const createEncodedStreams = RTCRtpReceiver && RTCRtpReceiver.prototype.createEncodedStreams;

  const tap = (receiver, options) => {
    if (transform && RTCRtpScriptTransform) {
      const mine = new RTCRtpScriptTransform(bridge(), options);
      ours.add(mine);
      transform.set.call(receiver, mine);
    } else {
      const { readable, writable } = createEncodedStreams.call(receiver);
      bridge().postMessage({ streams: options, readable, writable }, [readable, writable]);
    }
  };

  const elementOf = (track) => {
    const plays = (element) => element.srcObject instanceof MediaStream && element.srcObject.getTracks().includes(track);
    const found = [...document.querySelectorAll("audio, video")].find(plays);
    const described = [];
    for (let node = found; node && described.length < 8; node = node.parentElement) {
      const attributes = {};
      const telling = ({ name }) =>
        ["id", "class", "aria-label"].includes(name) || (name.startsWith("data-") && name.length <= 256);
      for (const { name, value } of [...node.attributes].filter(telling).slice(0, 64)) attributes[name] = value.slice(0, 256);
      described.push(attributes);
    }
    return described;
  };

  // Takes the frames of a receiver, before any arrive: set later, on a connection that the page offers, a transform gets none.
  const attach = (receiver) => {
    if (known.has(receiver)) return;
    const isVideo = receiver.track.kind === "video";
    const entry = { number: isVideo ? 0 : ++count, receiver, misses: 0, seen: 0, looks: 0, taken: false };
    known.set(receiver, entry);
    if (isVideo && !settings.dropVideo) return;
    try {
      tap(receiver, isVideo ? { video: true } : { track: entry.number });
    } catch {
      entry.taken = true; // somebody else has its frames already
    }
  };

  const open = (connection, event) => {
    const { receiver, transceiver, streams, track } = event;
    attach(receiver);
    const entry = known.get(receiver);
    if (track.kind === "video" || tracks.has(entry.number)) return;
    if (tracks.size >= MAX_TRACKS) {
      if (!isCrowded) post({ type: "failed", what: `to hear more than ${MAX_TRACKS} tracks` });
      isCrowded = true;
      crowd.set(receiver, { connection, event });
      return;
    }
    Object.assign(entry, { connection, transceiver, track, misses: 0, looks: 10 });
    tracks.set(entry.number, entry);
    const element = elementOf(track);
    if (element.length) entry.looks = 0;
    post({
      type: "track", track: entry.number, id: track.id, streams: streams.map(({ id }) => id), mid: transceiver.mid, element,
      frame: location.origin + location.pathname,
    });
    if (entry.taken) post({ type: "taken", track: entry.number });
    track.addEventListener("ended", () => close(entry), { once: true });
  };

  const close = (entry) => {
    if (tracks.get(entry.number) !== entry) return;
    tracks.delete(entry.number);
    release(entry.number);
    post({ type: "closed", track: entry.number });
    for (const [receiver, { connection, event }] of crowd) {
      if (tracks.size >= MAX_TRACKS) break;
      crowd.delete(receiver);
      if (!isOver({ connection, track: event.track, transceiver: event.transceiver })) open(connection, event);
    }
  };

  // The page takes the frames for itself (end-to-end encryption): ours would be ciphertext, or none.
  const taken = (receiver) => {
    const entry = known.get(receiver);
    if (!entry || entry.taken) return;
    entry.taken = true;
    if (tracks.has(entry.number)) post({ type: "taken", track: entry.number });
  };

  const isOver = ({ track, connection, transceiver }) =>
    track.readyState === "ended" ||
    connection.signalingState === "closed" ||
    ["inactive", "sendonly", "stopped"].includes(transceiver.currentDirection);

  // Once a second, from the worker, whose timers no page and no hidden tab slows down.
  const tick = () => {
    const receiving = {};
    for (const entry of [...tracks.values()]) {
      entry.misses = isOver(entry) ? entry.misses + 1 : 0;
      if (entry.misses > 1 || entry.track.readyState === "ended") {
        close(entry);
        continue;
      }
      const [source] = entry.receiver.getSynchronizationSources();
      if (source && source.timestamp !== entry.seen) {
        entry.seen = source.timestamp;
        receiving[entry.number] = source.audioLevel ?? null;
      }
      if (entry.looks > 0) {
        entry.looks -= 1;
        const element = elementOf(entry.track);
        if (element.length) {
          entry.looks = 0;
          post({ type: "element", track: entry.number, element });
        }
      }
    }
    if (Object.keys(receiving).length) post({ type: "receiving", tracks: receiving });
  };

  if (RTCPeerConnection && RTCRtpReceiver) {
    const wrapped = new Proxy(RTCPeerConnection, {
      construct(target, parameters, newTarget) {
        const connection = Reflect.construct(target, parameters, newTarget);
        connection.addEventListener("track", (event) => open(connection, event));
        return connection;
      },
    });
    const prototype = RTCPeerConnection.prototype;
    prototype.constructor = wrapped;
    for (const name of ["RTCPeerConnection", "webkitRTCPeerConnection"]) if (name in window) window[name] = wrapped;
    const attachAll = (connection) => connection.getTransceivers().forEach(({ receiver }) => attach(receiver));
    for (const name of ["addTransceiver", "addTrack", "createOffer"]) {
      prototype[name] = new Proxy(prototype[name], {
        apply(target, connection, parameters) {
          const result = target.apply(connection, parameters);
          attachAll(connection);
          if (name === "createOffer") result?.then(() => attachAll(connection), () => {}); // offerToReceiveAudio
          return result;
        },
      });
    }
    if (transform) {
      Object.defineProperty(RTCRtpReceiver.prototype, "transform", {
        ...transform,
        get: new Proxy(transform.get, {
          apply(get, receiver) {
            const value = get.call(receiver);
            return ours.has(value) ? null : value;
          },
        }),
        set: new Proxy(transform.set, {
          apply(set, receiver, [value]) {
            set.call(receiver, value);
            if (value) taken(receiver);
          },
        }),
      });
    }
    if (createEncodedStreams) {
      RTCRtpReceiver.prototype.createEncodedStreams = new Proxy(createEncodedStreams, {
        apply(create, receiver, parameters) {
          taken(receiver);
          if (transform && ours.has(transform.get.call(receiver))) transform.set.call(receiver, null);
          return create.apply(receiver, parameters);
        },
      });
    }
  }

  // --- PCM: what the page decoded itself, at 16 kHz from an AudioContext of ours

  const sources = new Map(); // number -> what must not be collected as garbage
  let context;
  const ready = async () => {
    if (!context) {
      context = new AudioContext({ sampleRate: 16000 });
      context.onstatechange = () => context.state === "suspended" && context.resume();
      context.loaded = context.audioWorklet.addModule(module(settings.worklet));
    }
    await context.loaded;
  };
  const connect = AudioNode && AudioNode.prototype.connect;
  const disconnect = AudioNode && AudioNode.prototype.disconnect;

  const capture = async (number, stream, sounding) => {
    release(number);
    const kept = { stream };
    sources.set(number, kept);
    await ready();
    if (sources.get(number) !== kept) return;
    // A remote track is digital silence in WebAudio unless a media element plays it, muted or not.
    kept.element = new Audio();
    kept.element.muted = true;
    kept.element.srcObject = stream;
    kept.element.play().catch(() => {});
    kept.source = context.createMediaStreamSource(stream);
    kept.node = new AudioWorkletNode(context, "capture", {
      channelCount: 1, channelCountMode: "explicit", channelInterpretation: "speakers", processorOptions: { sounding },
    });
    const { port1, port2 } = new MessageChannel();
    kept.node.port.postMessage(null, [port1]);
    bridge().postMessage({ pcm: number, port: port2 }, [port2]);
    connect.call(kept.source, kept.node);
    connect.call(kept.node, context.destination); // its output is silence; unconnected, it would not be run
  };
  const release = (number) => {
    const kept = sources.get(number);
    sources.delete(number);
    if (!kept?.node) return;
    disconnect.call(kept.source);
    disconnect.call(kept.node);
    kept.node.port.postMessage(null); // ends its processor
    kept.element.srcObject = null;
  };
  const captureElement = (number) => {
    const entry = tracks.get(number);
    if (entry) capture(number, new MediaStream([entry.track]), false);
  };

  // --- the mix: whatever the page plays through WebAudio, from wherever it has it

  const MAX_PLAYERS = 8; // contexts of the page that are captured at once: the first ones, until they are closed
  const hubs = new Map(); // the page's contexts -> a node that everything is connected to that goes to their speakers
  let mixing = false;
  let players = 0;
  const hub = (page) => {
    let known = hubs.get(page);
    if (!known) {
      known = { node: page.createGain(), number: 0 };
      hubs.set(page, known);
      page.addEventListener("statechange", () => page.state === "closed" && forget(page));
      post({ type: "plays" });
      captureHubs();
    }
    return known.node;
  };
  const forget = (page) => {
    const number = hubs.get(page)?.number;
    hubs.delete(page);
    if (!number) return;
    release(number);
    post({ type: "closed", track: number });
    captureHubs();
  };
  const captureHubs = () => {
    for (const [page, known] of mixing ? [...hubs].slice(0, MAX_PLAYERS) : []) {
      if (known.number || players === 32768) continue;
      known.number = -(players += 1); // each once
      const out = page.createMediaStreamDestination();
      connect.call(known.node, out);
      capture(known.number, out.stream, true);
    }
  };
  const captureMix = () => {
    mixing = true;
    captureHubs();
  };
  if (settings.mix && connect && AudioContext) {
    const isSpeakers = (node, to) => to instanceof AudioDestinationNode && to.context instanceof AudioContext && to.context === node.context;
    AudioNode.prototype.connect = new Proxy(connect, {
      apply(target, node, parameters) {
        const result = target.apply(node, parameters);
        if (isSpeakers(node, parameters[0])) target.call(node, hub(node.context), parameters[1] ?? 0);
        return result;
      },
    });
    AudioNode.prototype.disconnect = new Proxy(disconnect, {
      apply(target, node, parameters) {
        const result = target.apply(node, parameters);
        if (isSpeakers(node, parameters[0])) {
          try {
            target.call(node, hub(node.context));
          } catch {} // it was not connected
        }
        return result;
      },
    });
  }

  // --- probes of the platform

  const earshot = { signal: (name, payload) => post({ type: "signal", name, payload }) };
  for (const probe of probes) {
    try {
      probe(earshot);
    } catch (error) {
      post({ type: "failed", what: String(error).slice(0, 200) });
    }
  }
  // The page's main frame beats from the start: so a frozen renderer is told from a page that is merely busy.
  if (window === window.top && location.protocol.startsWith("http")) bridge();
}
