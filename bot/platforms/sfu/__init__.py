"""What SFUs joined without an SDK of their vendors share: signalling over a websocket, a connection per track."""
