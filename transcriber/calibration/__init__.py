"""Calibration: how short a model's windows may be, measured on real speech with the model at hand."""
