"""Rounds over many devices: the files of `edgecl share`, carried by Flower (https://flower.ai)."""
