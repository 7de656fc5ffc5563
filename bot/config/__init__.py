"""The bot's one JSON configuration. `load_config` is the way in, and out of it comes `configs/bot.schema.json`."""

from bot.config.commands import read_command
from bot.config.loading import json_schema, load_config
from bot.config.model import BotConfig
from bot.config.sources import find_config
from common.problems import ConfigError, Problem

__all__ = ["BotConfig", "ConfigError", "Problem", "find_config", "json_schema", "load_config", "read_command"]
