"""ARM64 on a machine that is none: Debian's arm64 packages and wheels for aarch64, run by QEMU."""
