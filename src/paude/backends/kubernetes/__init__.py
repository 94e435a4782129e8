"""Sessions on Kubernetes and OpenShift: manifests (pure), cluster access, steps. The only place of kr8s."""

import sys

# httpx looks for the libraries of its own command line and loads them where they are: 6 MiB and a sixth of a second,
# for nothing, in every process. It does without, as it does where they are not installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
