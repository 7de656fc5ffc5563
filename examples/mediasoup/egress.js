// The egress of a room: every audio producer as plain RTP to one port of an Earshot bot, and its text back from Redis.
//
// The bot is a child process (EGRESS_COMMAND, which finds its configuration in BOT_CONFIG), or one that runs elsewhere
// (EGRESS_HOST and EGRESS_PORT). Who is who it learns from RTCP: the CNAME of a stream is the peer's id.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import Redis from 'ioredis';

const AUDIO_LEVEL = 'urn:ietf:params:rtp-hdrext:ssrc-audio-level';
const STOP_PATIENCE_MS = 6000; // a bot that is told to end does so within 5 s

export class Egress {
  constructor(room, settings) {
    Object.assign(this, { room, settings });
    this.state = 'off'; // off, on or failed
    this.reason = 'nobody has started it';
    this.transports = new Map(); // by producer
    this.bot = null;
    this.redis = null;
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
        ? { ip: this.settings.egressHost, port: this.settings.egressPort }
        : { ip: '127.0.0.1', port: await freePort() };
      await this.listen();
      if (!this.settings.egressHost) this.launch();
      this.say('on', 'what is said in this room is transcribed');
      for (const peer of this.room.peers.values()) {
        for (const producer of peer.producers.values()) if (producer.kind === 'audio') await this.forward(producer);
      }
    } catch (error) {
      this.stop(error.message, 'failed');
      throw error;
    }
  }

  produced(producer) {
    const begun = this.state === 'on' ? this.forward(producer) : this.settings.autoEgress ? this.start() : null;
    begun?.catch((error) => this.stop(error.message, 'failed'));
  }

  async forward(producer) {
    if (this.transports.has(producer.id) || producer.closed) return;
    const transport = await this.room.router.createPlainTransport({
      listenIp: { ip: this.settings.egressHost ? this.settings.listenIp : '127.0.0.1' }, rtcpMux: true, comedia: false,
    });
    this.transports.set(producer.id, transport);
    producer.observer.once('close', () => {
      transport.close();
      this.transports.delete(producer.id);
    });
    await transport.connect(this.target);
    const consumer = await transport.consume({
      producerId: producer.id, rtpCapabilities: this.capabilities, paused: true,
    });
    await consumer.resume();
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
    this.redis.on('error', (error) => console.error(`Redis: ${error.message}`));
    this.redis.on('message', (_channel, text) => {
      let payload;
      try {
        payload = JSON.parse(text);
      } catch {
        return;
      }
      const names = new Map([...this.room.peers.values()].map((peer) => [peer.id, peer.name]));
      const segments = (payload.segments ?? []).map((segment) => ({
        ...segment, speaker: names.get(segment.speaker_id) ?? segment.speaker,
      }));
      if (segments.length) this.room.tellAll('transcript', { segments });
    });
    await this.redis.subscribe(`tc:meeting:${this.room.name}:mutable`);
  }

  stop(reason, state = 'off') {
    const { bot } = this;
    this.bot = null;
    if (bot && bot.exitCode === null && bot.signalCode === null) {
      bot.kill('SIGTERM');
      setTimeout(() => bot.kill('SIGKILL'), STOP_PATIENCE_MS).unref();
    }
    for (const transport of this.transports.values()) transport.close();
    this.transports.clear();
    // its last words come while it leaves
    const { redis } = this;
    this.redis = null;
    if (redis) setTimeout(() => redis.disconnect(), bot ? STOP_PATIENCE_MS : 0).unref();
    if (this.state === 'on') this.say(state, reason);
  }
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
