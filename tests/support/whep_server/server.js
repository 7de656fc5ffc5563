// Meetecho's WHEP server before the tests' Janus, and a door by which tests make endpoints.

import express from 'express';
import { JanusWhepServer } from 'janus-whep-server';

const app = express();
const server = app.listen(0, process.env.HOST);
const whep = new JanusWhepServer({
  janus: { address: process.env.JANUS_URL },
  rest: { app, basePath: '/whep' },
  iceServers: [{ uri: 'stun:198.51.100.1:9' }], // nobody is there
});
await whep.start();
app.post('/endpoints', (request, response) => {
  whep.createEndpoint(request.body);
  response.sendStatus(201);
});
console.log(`WHEP at http://${process.env.HOST}:${server.address().port}`);
