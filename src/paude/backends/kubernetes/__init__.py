"""Sessions on Kubernetes and OpenShift: manifests (pure), cluster access, steps. The only place of kr8s."""
