.PHONY: demo test check bench clean lock
# The lock files carry versions and hashes, no URLs. `make lock` needs uv; nothing else does.
UV_COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --upgrade

lock:
	$(UV_COMPILE) pyproject.toml requirements/build.in -o requirements/bot.lock
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra webrtc -o requirements/webrtc.lock
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra transcriber -o requirements/transcriber.lock
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra demo -o requirements/demo.lock
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra dev -o requirements/dev.lock
