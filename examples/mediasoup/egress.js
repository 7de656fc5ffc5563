// The egress of a room: every audio producer as plain RTP to one port of an Earshot bot, and its text back from Redis.
//
// The bot is a child process (EGRESS_COMMAND, which finds its configuration in BOT_CONFIG), or one that runs elsewhere
// (EGRESS_HOST and EGRESS_PORT). Who is who we tell it by RTCP (SDES): the CNAME of a stream is the peer's id, its NAME theirs.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import Redis from 'ioredis';

const AUDIO_LEVEL = 'urn:ietf:params:rtp-hdrext:ssrc-audio-level';
const NAMES_MS = 100; // between telling whose the streams are: mediasoup does it every 5 s, and has no names
const HEARTBEAT_MS = 5000; // between looking whether the bot is there; what it leaves in Redis stays for 30 s
const BOT_PATIENCE_MS = 30000; // a bot may take so long to start
const STOP_PATIENCE_MS = 6000; // a bot that is told to end does so within 5 s

export class Egress {
  constructor(room, settings) {
    Object.assign(this, { room, settings });
    this.state = 'off'; // off, on or failed
    this.reason = 'nobody has started it';
    this.transports = new Map(); // by producer
    this.speakers = new Map(); // by producer: SSRC and peer
    this.socket = null;
    this.timer = null;
    this.bot = null;
    this.redis = null; // hears
    this.commands = null; // asks
    this.heartbeat = null;
  }

  described() {
    return { state: this.state, reason: this.reason };
  }

  say(state, reason) {
    Object.assign(this, { state, reason });
    this.room.tellAll('egress', this.described());
  }

  // RTP that a mediasoup consumer may send to the bot: Opus, with the audio level, so that silence is not even decoded.
  get capabilities() {
    const { codecs, headerExtensions } = this.room.router.rtpCapabilities;
    return {
      codecs: codecs.filter((codec) => codec.mimeType.toLowerCase() === 'audio/opus'),
      headerExtensions: headerExtensions.filter((one) => one.kind === 'audio' && one.uri === AUDIO_LEVEL),
    };
  }

  async start() {
    if (this.state === 'on') return;
    this.say('on', 'starting');
    try {
      this.target = this.settings.egressHost
        ? { ip: (await lookup(this.settings.egressHost, 4)).address, port: this.settings.egressPort }
        : { ip: '127.0.0.1', port: await freePort() };
      await this.listen();
      this.socket = createSocket('udp4');
      this.socket.on('error', (error) => console.error(`RTCP: ${error.message}`));
      this.timer = setInterval(() => this.tellNames(), NAMES_MS);
      if (!this.settings.egressHost) this.launch();
      this.say('on', 'what is said in this room is transcribed');
      for (const peer of this.room.peers.values()) {
        for (const one of peer.producers.values()) if (one.kind === 'audio') await this.forward(one, peer);
      }
    } catch (error) {
      this.stop(error.message, 'failed');
      throw error;
    }
  }

  produced(producer, peer) {
    const begun = this.state === 'on' ? this.forward(producer, peer) : this.settings.autoEgress ? this.start() : null;
    begun?.catch((error) => this.stop(error.message, 'failed'));
  }

  async forward(producer, peer) {
    if (this.transports.has(producer.id) || producer.closed) return;
    const transport = await this.room.router.createPlainTransport({
      listenIp: { ip: this.settings.egressHost ? this.settings.listenIp : '127.0.0.1' }, rtcpMux: true, comedia: false,
    });
    this.transports.set(producer.id, transport);
    producer.observer.once('close', () => {
      transport.close();
      this.transports.delete(producer.id);
      const speaker = this.speakers.get(producer.id);
      if (speaker) this.socket?.send(goodbye(speaker.ssrc), this.target.port, this.target.ip);
      this.speakers.delete(producer.id);
    });
    await transport.connect(this.target);
    const consumer = await transport.consume({
      producerId: producer.id, rtpCapabilities: this.capabilities, paused: true,
    });
    this.speakers.set(producer.id, { ssrc: consumer.rtpParameters.encodings[0].ssrc, peer });
    this.tellNames();
    await consumer.resume();
  }

  tellNames() {
    for (const { ssrc, peer } of this.speakers.values()) {
      this.socket?.send(description(ssrc, peer.id, peer.name), this.target.port, this.target.ip);
    }
  }

  configuration() {
    const { codecs, headerExtensions } = this.capabilities;
    return {
      platform: 'rtp',
      meetingUrl: `rtp://127.0.0.1:${this.target.port}`,
      meeting_id: this.room.name,
      connectionId: `egress-${this.room.name}`,
      rtp: {
        streams: [{
          codec: 'opus', payloadType: codecs[0].preferredPayloadType, audioLevelId: headerExtensions[0]?.preferredId,
        }],
      },
      redisUrl: this.settings.redisUrl,
      whisperLiveUrl: this.settings.whisperLiveUrl,
    };
  }

  launch() {
    const [command, ...args] = this.settings.egressCommand;
    const env = { ...process.env, BOT_CONFIG: JSON.stringify(this.configuration()) };
    const bot = spawn(command, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
    this.bot = bot;
    const ended = (how) => {
      if (this.bot === bot) this.stop(`the bot has ended (${how}); its log says why`, 'failed');
    };
    bot.once('error', (error) => ended(error.message));
    bot.once('exit', (code, signal) => ended(signal ?? `exit code ${code}`));
  }

  // What the bot publishes: partials and finals on one channel, which is named after the meeting.
  async listen() {
    this.redis = new Redis(this.settings.redisUrl, { maxRetriesPerRequest: 1 });
    this.commands = this.redis.duplicate();
    for (const redis of [this.redis, this.commands]) redis.on('error', (error) => console.error(`Redis: ${error.message}`));
    this.redis.on('message', (_channel, text) => {
      let payload;
      try {
        payload = JSON.parse(text);
      } catch {
        return;
      }
      if (payload.segment) this.room.tellAll('transcript', { segments: [payload.segment] });
    });
    await this.redis.subscribe(`tc:meeting:${this.room.name}:mutable`);
    const began = Date.now();
    let isThere = false;
    this.heartbeat = setInterval(async () => {
      const was = isThere;
      isThere = await this.commands.exists(`earshot:bot:egress-${this.room.name}`).then(Boolean, () => was);
      if (!isThere && (was || Date.now() > began + BOT_PATIENCE_MS)) this.stop('its bot is not there', 'failed');
    }, HEARTBEAT_MS);
  }

  stop(reason, state = 'off') {
    const { bot } = this;
    this.bot = null;
    if (bot && bot.exitCode === null && bot.signalCode === null) {
      bot.kill('SIGTERM');
      setTimeout(() => bot.kill('SIGKILL'), STOP_PATIENCE_MS).unref();
    }
    clearInterval(this.timer);
    clearInterval(this.heartbeat);
    this.commands?.disconnect();
    this.socket?.close();
    this.socket = null;
    for (const transport of this.transports.values()) transport.close();
    this.transports.clear();
    this.speakers.clear();
    // its last words come while it leaves
    const { redis } = this;
    this.redis = null;
    if (redis) setTimeout(() => redis.disconnect(), bot ? STOP_PATIENCE_MS : 0).unref();
    if (this.state === 'on') this.say(state, reason);
  }
}

// RTCP (RFC 3550, 6.1): an empty receiver report, and one packet of another kind with one chunk, a multiple of 4 bytes.
function compound(ssrc, kind, chunk) {
  const header = (count, type, words) => Buffer.from([0x80 | count, type, words >> 8, words & 255]);
  return Buffer.concat([header(0, 201, 1), word(ssrc), header(1, kind, chunk.length / 4), chunk]);
}

function word(ssrc) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(ssrc);
  return bytes;
}

// Who sends the stream (6.5).
function description(ssrc, cname, name) {
  const item = (kind, text) => {
    const bytes = Buffer.from(text).subarray(0, 255);
    return [Buffer.from([kind, bytes.length]), bytes];
  };
  const chunk = Buffer.concat([word(ssrc), ...item(1, cname), ...item(2, name), Buffer.from([0])]);
  return compound(ssrc, 202, Buffer.concat([chunk, Buffer.alloc((4 - (chunk.length % 4)) % 4)]));
}

// That nobody does any more (6.6): without it the bot counts them among those who are there for minutes.
function goodbye(ssrc) {
  return compound(ssrc, 203, word(ssrc));
}

function freePort() {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', reject);
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}
