"""Our transcriber beside the real whisper-live 0.10.0: same weights, same audio, same core, same run."""
