// A mediasoup room server: HTTP with a page, and a websocket with the protocol of README.md. Settings are environment.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import esbuild from 'esbuild';
import * as mediasoup from 'mediasoup';
import { WebSocketServer } from 'ws';
import { Peer, Refusal, Room, found } from './room.js';

const { env } = process;
const settings = {
  host: env.HOST || '127.0.0.1',
  port: Number(env.PORT || 3000),
  listenIp: env.LISTEN_IP || '127.0.0.1', // of media
  announcedIp: env.ANNOUNCED_IP || undefined,
  accessToken: env.ACCESS_TOKEN || null, // asked of whoever joins
  adminToken: env.ADMIN_TOKEN || null, // asked of whoever kicks people out, or closes a room
  rooms: env.ROOMS ? env.ROOMS.split(',') : null, // others do not exist
  maxPeers: Number(env.MAX_PEERS || 100),
  autoEgress: ['1', 'true', 'yes'].includes((env.AUTO_EGRESS || '').toLowerCase()),
  egressCommand: (env.EGRESS_COMMAND || 'earshot run').split(' '),
  egressHost: env.EGRESS_HOST || null,
  egressPort: Number(env.EGRESS_PORT || 5004),
  rtcPorts: (env.RTC_PORTS || '10000-59999').split('-').map(Number), // of media, over UDP and TCP
  redisUrl: env.REDIS_URL || 'redis://127.0.0.1:6379',
  whisperLiveUrl: env.WHISPER_LIVE_URL || 'ws://127.0.0.1:9090',
};
const MAX_MESSAGE_BYTES = 256 * 1024;

const worker = await mediasoup.createWorker({
  logLevel: 'warn', rtcMinPort: settings.rtcPorts[0], rtcMaxPort: settings.rtcPorts[1],
});
worker.once('died', (error) => {
  console.error(`The mediasoup worker has died: ${error.message}`);
  process.exit(1);
});
const mediaCodecs = [
  { kind: 'audio', mimeType: 'audio/opus', clockRate: 48000, channels: 2, parameters: { useinbandfec: 1 } },
  { kind: 'video', mimeType: 'video/VP8', clockRate: 90000 },
];
const rooms = new Map(); // name → promise of a Room

async function roomOf(name) {
  if (typeof name !== 'string' || !/^[\w.-]{1,64}$/.test(name) || (settings.rooms && !settings.rooms.includes(name))) {
    throw new Refusal('no_such_room', `there is no room ${name}`);
  }
  if (!rooms.has(name)) {
    const gone = () => rooms.delete(name);
    rooms.set(name, worker.createRouter({ mediaCodecs }).then((router) => new Room(name, router, settings, gone)));
  }
  return rooms.get(name);
}

function administrator(token) {
  if (!settings.adminToken || token !== settings.adminToken) throw new Refusal('unauthorized', 'wrong admin token');
}

const requests = {
  async joinRoom(peer, data) {
    if (peer.room) throw new Refusal('bad_request', 'you are in a room already');
    if (settings.accessToken && data.token !== settings.accessToken) throw new Refusal('unauthorized', 'wrong token');
    return (await roomOf(data.room)).join(peer, data);
  },
  async leaveRoom(peer) {
    peer.room.leave(peer);
  },
  async rename(peer, { name }) {
    peer.name = String(name).slice(0, 128);
    peer.room.tellAll('peerRenamed', { peerId: peer.id, name: peer.name }, peer);
  },
  async getRouterRtpCapabilities(peer) {
    return { rtpCapabilities: peer.room.router.rtpCapabilities };
  },
  createWebRtcTransport: (peer) => peer.room.createWebRtcTransport(peer),
  async connectTransport(peer, { transportId, dtlsParameters }) {
    await found(peer.transports, transportId, 'transport').connect({ dtlsParameters });
  },
  async closeTransport(peer, { transportId }) {
    found(peer.transports, transportId, 'transport').close();
    peer.transports.delete(transportId);
  },
  produce: (peer, data) => peer.room.produce(peer, data),
  pauseProducer: (peer, { producerId }) => peer.room.pause(peer, producerId, true),
  resumeProducer: (peer, { producerId }) => peer.room.pause(peer, producerId, false),
  async closeProducer(peer, { producerId }) {
    found(peer.producers, producerId, 'producer').close();
  },
  consume: (peer, data) => peer.room.consume(peer, data),
  async resumeConsumer(peer, { consumerId }) {
    await found(peer.consumers, consumerId, 'consumer').resume();
  },
  async startEgress(peer) {
    await peer.room.egress.start();
    return peer.room.egress.described();
  },
  async stopEgress(peer) {
    peer.room.egress.stop(`${peer.name} has stopped it`);
    return peer.room.egress.described();
  },
  async kick(peer, { peerId, token }) {
    administrator(token);
    const kicked = found(peer.room.peers, peerId, 'peer');
    kicked.tell('kicked');
    peer.room.leave(kicked);
    kicked.socket.close();
  },
  async closeRoom(peer, { token }) {
    administrator(token);
    const { room } = peer;
    setImmediate(() => room.close()); // after the answer
  },
};

async function answer(peer, text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return peer.socket.close(1007);
  }
  const { id, type, data } = message ?? {};
  const response = { type: 'response', id, ok: true };
  try {
    const handle = Object.hasOwn(requests, type) ? requests[type] : null;
    if (!handle || !Number.isInteger(id)) throw new Refusal('bad_request', 'there is no such request, or it has no id');
    if (!peer.room && type !== 'joinRoom') throw new Refusal('bad_request', 'you are in no room');
    response.data = (await handle(peer, data ?? {})) ?? {};
  } catch (error) {
    response.ok = false;
    response.error = { code: error.code ?? 'bad_request', message: error.message };
  }
  peer.answered(response);
}

const built = await esbuild.build({
  entryPoints: [new URL('page/page.js', import.meta.url).pathname],
  bundle: true, format: 'esm', write: false, logLevel: 'error', define: { global: 'globalThis' },
});
const files = {
  '/': ['text/html; charset=utf-8', await readFile(new URL('page/index.html', import.meta.url))],
  '/page.js': ['text/javascript; charset=utf-8', built.outputFiles[0].contents],
};
const server = createServer((request, response) => {
  const file = files[request.url.split('?')[0]];
  response.writeHead(file ? 200 : 404, { 'Content-Type': file ? file[0] : 'text/plain' });
  response.end(file ? file[1] : 'not found\n');
});
new WebSocketServer({ server, maxPayload: MAX_MESSAGE_BYTES }).on('connection', (socket) => {
  const peer = new Peer(socket);
  let last = Promise.resolve(); // one request at a time, in order
  socket.on('message', (text) => {
    last = last.then(() => answer(peer, text));
  });
  socket.on('error', () => socket.terminate());
  socket.on('close', () => peer.room?.leave(peer));
});
server.listen(settings.port, settings.host, () => {
  console.log(`mediasoup rooms at http://${settings.host}:${server.address().port}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    for (const room of await Promise.all(rooms.values())) room.close();
    worker.close();
    server.close();
    server.closeAllConnections();
    setTimeout(() => process.exit(0), 5500).unref(); // as long as bots may take to end
  });
}
