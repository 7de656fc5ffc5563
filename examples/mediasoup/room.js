// A room: its peers, what each of them produces and consumes, and the egress. The protocol stands in README.md.

import { Egress } from './egress.js';

export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class Peer {
  constructor(socket) {
    this.socket = socket;
    this.id = null;
    this.name = '';
    this.service = false; // hears, and is nobody: a bot
    this.room = null;
    this.waiting = null; // what is to be told once the answer to joinRoom has been sent: it says what was before
    this.transports = new Map();
    this.producers = new Map();
    this.consumers = new Map();
  }

  tell(type, data = {}) {
    if (this.waiting) this.waiting.push({ type, data });
    else this.send({ type, data });
  }

  answered(response) {
    this.send(response);
    for (const message of this.waiting ?? []) this.send(message);
    this.waiting = null;
  }

  send(message) {
    if (this.socket.readyState === this.socket.OPEN) this.socket.send(JSON.stringify(message));
  }

  described() {
    const producers = [...this.producers.values()].map((producer) => ({
      producerId: producer.id, kind: producer.kind, paused: producer.paused,
    }));
    return { peerId: this.id, name: this.name, service: this.service, producers };
  }
}

export class Room {
  constructor(name, router, settings, gone) {
    Object.assign(this, { name, router, settings, gone });
    this.peers = new Map();
    this.egress = new Egress(this, settings);
  }

  tellAll(type, data, except = null) {
    for (const peer of this.peers.values()) if (peer !== except) peer.tell(type, data);
  }

  join(peer, { peerId, name, service }) {
    if (typeof peerId !== 'string' || !/^[\x21-\x7e]{1,128}$/.test(peerId)) {
      throw new Refusal('bad_request', 'peerId must be 1 to 128 visible ASCII characters');
    }
    const former = this.peers.get(peerId);
    if (!former && this.peers.size >= this.settings.maxPeers) throw new Refusal('room_full', 'the room is full');
    if (former) {
      former.tell('replaced');
      this.leave(former);
      former.socket.close();
    }
    Object.assign(peer, { id: peerId, name: String(name || peerId).slice(0, 128), service: service === true, room: this });
    peer.waiting = [];
    const peers = [...this.peers.values()].map((other) => other.described());
    this.peers.set(peerId, peer);
    this.tellAll('peerJoined', peer.described(), peer);
    return { peerId, peers, egress: this.egress.described() };
  }

  leave(peer) {
    if (this.peers.get(peer.id) !== peer) return;
    this.peers.delete(peer.id);
    for (const transport of peer.transports.values()) transport.close();
    peer.transports.clear();
    this.tellAll('peerLeft', { peerId: peer.id });
    peer.room = null;
    if (![...this.peers.values()].some((other) => !other.service)) this.egress.stop('everybody has left');
    if (this.peers.size === 0) this.close();
  }

  close() {
    this.tellAll('roomClosed', {});
    this.egress.stop('the room was closed');
    for (const peer of this.peers.values()) {
      peer.room = null;
      peer.socket.close();
    }
    this.peers.clear();
    this.router.close();
    this.gone(this);
  }

  async createWebRtcTransport(peer) {
    const { listenIp: ip, announcedIp } = this.settings;
    const transport = await this.router.createWebRtcTransport({
      listenIps: [{ ip, announcedIp }], enableUdp: true, enableTcp: true, preferUdp: true,
    });
    peer.transports.set(transport.id, transport);
    const { id, iceParameters, iceCandidates, dtlsParameters } = transport;
    return { id, iceParameters, iceCandidates, dtlsParameters };
  }

  async produce(peer, { transportId, kind, rtpParameters }) {
    const transport = found(peer.transports, transportId, 'transport');
    // the CNAME of every stream that comes of this producer
    const named = { ...rtpParameters, rtcp: { ...rtpParameters?.rtcp, cname: peer.id } };
    const producer = await transport.produce({ kind, rtpParameters: named });
    peer.producers.set(producer.id, producer);
    producer.observer.once('close', () => {
      peer.producers.delete(producer.id);
      this.tellAll('producerClosed', { peerId: peer.id, producerId: producer.id });
    });
    this.tellAll('newProducer', { peerId: peer.id, producerId: producer.id, kind, paused: false }, peer);
    if (kind === 'audio') this.egress.produced(producer, peer);
    return { id: producer.id, egress: this.egress.described() };
  }

  async pause(peer, producerId, paused) {
    const producer = found(peer.producers, producerId, 'producer');
    await (paused ? producer.pause() : producer.resume());
    this.tellAll(paused ? 'producerPaused' : 'producerResumed', { peerId: peer.id, producerId }, peer);
  }

  async consume(peer, { transportId, producerId, rtpCapabilities }) {
    const transport = found(peer.transports, transportId, 'transport');
    if (!this.router.canConsume({ producerId, rtpCapabilities })) {
      throw new Refusal('cannot_consume', 'there is no such producer, or none of its codecs is yours');
    }
    const consumer = await transport.consume({ producerId, rtpCapabilities, paused: true });
    peer.consumers.set(consumer.id, consumer);
    consumer.observer.once('close', () => peer.consumers.delete(consumer.id));
    return { id: consumer.id, producerId, kind: consumer.kind, rtpParameters: consumer.rtpParameters };
  }
}

export function found(map, id, what) {
  const it = map.get(id);
  if (!it) throw new Refusal('not_found', `there is no such ${what}`);
  return it;
}
