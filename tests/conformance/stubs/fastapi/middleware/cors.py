"""Stands in for the module of the same name, which re-exports this."""

from starlette.middleware.cors import CORSMiddleware as CORSMiddleware
