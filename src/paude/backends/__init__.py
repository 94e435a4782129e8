"""Where sessions run. `base` says what a place has to offer; one package per kind of place."""

KUBERNETES, PODMAN = "kubernetes", "podman"
