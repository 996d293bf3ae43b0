"""What `edgecl demo` runs."""
