"""What platforms share that are SFUs joined without their vendor's SDK: signalling over a websocket, a connection per track."""
