"""Stands in for the module of the same name, which re-exports this."""

from starlette.responses import JSONResponse as JSONResponse
