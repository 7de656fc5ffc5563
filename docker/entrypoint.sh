#!/bin/sh
# /app/vexa-bot/entrypoint.sh in our images: the command by which managers of v0.10 start a bot (docs/managers.md).
exec /usr/bin/tini -- earshot "${@:-run}"
