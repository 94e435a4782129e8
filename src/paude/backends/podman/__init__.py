"""Sessions on Podman, driven by its command line: what to run (pure), the engine, steps."""
