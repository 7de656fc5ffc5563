"""The bot's one JSON configuration. `load_config` is the way in, and out of it comes `configs/bot.schema.json`."""

from bot.config.settings import BotConfig, ConfigError, Problem, find_config, json_schema, load_config

__all__ = ["BotConfig", "ConfigError", "Problem", "find_config", "json_schema", "load_config"]
