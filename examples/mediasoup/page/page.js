// The page: a microphone into the room, everybody else's out of it, and what the room says was said.

import { Device, detectDevice } from 'mediasoup-client';

const $ = (id) => document.getElementById(id);

class Signalling {
  constructor(url, told) {
    this.socket = new WebSocket(url);
    this.asked = new Map();
    this.last = 0;
    this.opened = new Promise((resolve, reject) => {
      this.socket.onopen = resolve;
      this.socket.onerror = () => reject(new Error('the room server does not answer'));
    });
    this.socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type !== 'response') return told(message.type, message.data);
      const { resolve, reject } = this.asked.get(message.id);
      this.asked.delete(message.id);
      return message.ok ? resolve(message.data) : reject(new Error(message.error.message));
    };
  }

  ask(type, data = {}) {
    const id = (this.last += 1);
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, type, data }));
    });
  }
}

const people = new Map(); // peer → name
const paragraphs = new Map(); // segment → its paragraph
let signalling, device, hearing, producer;

function showEgress({ state, reason }) {
  $('egress').dataset.state = state;
  $('egress').textContent = state === 'on' ? `Transcribing: ${reason}.` : `Nothing is transcribed: ${reason}.`;
  $('start').disabled = state === 'on';
  $('stop').disabled = state !== 'on';
}

function showPeople() {
  $('people').replaceChildren(...[...people.values()].map((name) => {
    const item = document.createElement('li');
    item.textContent = name;
    return item;
  }));
}

function showTranscript({ segments }) {
  for (const segment of segments) {
    let paragraph = paragraphs.get(segment.segment_id);
    if (!paragraph) {
      paragraph = document.createElement('p');
      paragraphs.set(segment.segment_id, paragraph);
      $('transcript').append(paragraph);
    }
    paragraph.dataset.completed = String(segment.completed === true);
    paragraph.textContent = `${segment.speaker}: ${segment.text.trim()}`;
  }
}

async function transport(direction) {
  const made = await signalling.ask('createWebRtcTransport', { direction });
  const one = direction === 'send' ? device.createSendTransport(made) : device.createRecvTransport(made);
  one.on('connect', ({ dtlsParameters }, done, failed) => {
    signalling.ask('connectTransport', { transportId: one.id, dtlsParameters }).then(done, failed);
  });
  one.on('produce', ({ kind, rtpParameters }, done, failed) => {
    signalling.ask('produce', { transportId: one.id, kind, rtpParameters }).then(done, failed);
  });
  return one;
}

async function hear({ producerId, kind }) {
  if (kind !== 'audio') return;
  const { rtpCapabilities } = device;
  const parameters = await signalling.ask('consume', { transportId: hearing.id, producerId, rtpCapabilities });
  const consumer = await hearing.consume(parameters);
  const player = new Audio();
  player.srcObject = new MediaStream([consumer.track]);
  player.play();
  await signalling.ask('resumeConsumer', { consumerId: consumer.id });
}

function told(type, data) {
  if (type === 'egress') showEgress(data);
  else if (type === 'transcript') showTranscript(data);
  else if (type === 'newProducer') hear(data);
  else if (type === 'peerJoined' || type === 'peerRenamed') people.set(data.peerId, data.name);
  else if (type === 'peerLeft') people.delete(data.peerId);
  else if (['kicked', 'roomClosed', 'replaced'].includes(type)) showEgress({ state: 'off', reason: 'you are out of the room' });
  showPeople();
}

async function join(room, name) {
  signalling = new Signalling(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`, told);
  await signalling.opened;
  signalling.socket.onclose = () => showEgress({ state: 'off', reason: 'the connection to the room is gone' });
  const token = new URLSearchParams(location.search).get('token') ?? undefined;
  const joined = await signalling.ask('joinRoom', { room, peerId: `${name.replace(/[^\x21-\x7e]/g, '')}-${crypto.randomUUID().slice(0, 8)}`, name, token });
  people.set(joined.peerId, name);
  for (const peer of joined.peers) people.set(peer.peerId, peer.name);
  showEgress(joined.egress);
  showPeople();
  device = new Device({ handlerName: detectDevice() ?? 'Chrome111' });
  await device.load({ routerRtpCapabilities: (await signalling.ask('getRouterRtpCapabilities')).rtpCapabilities });
  hearing = await transport('recv');
  for (const peer of joined.peers) for (const one of peer.producers) await hear(one);
  const [track] = (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks();
  producer = await (await transport('send')).produce({ track, codecOptions: { opusFec: true } });
  $('mute').disabled = false;
}

$('join').onsubmit = (event) => {
  event.preventDefault();
  const { room, name } = Object.fromEntries(new FormData(event.target));
  for (const element of event.target.elements) element.disabled = true;
  join(room, name).catch((error) => showEgress({ state: 'off', reason: error.message }));
};
$('start').onclick = () => signalling.ask('startEgress').catch((error) => showEgress({ state: 'failed', reason: error.message }));
$('stop').onclick = () => signalling.ask('stopEgress');
$('mute').onclick = async () => {
  const muting = !producer.paused;
  await (muting ? producer.pause() : producer.resume());
  await signalling.ask(muting ? 'pauseProducer' : 'resumeProducer', { producerId: producer.id });
  $('mute').textContent = muting ? 'Unmute' : 'Mute';
};
