"""A page on the device, on the standard library's server."""
