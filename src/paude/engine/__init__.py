"""Plans, the runner, events and timing. Pure anyio: it knows nothing of paude but its errors and report.

`Plan` declares steps and edges, `running` opens and closes them, events tell what happened, `timing` reads them.
Static graphs only: no conditions, retries or caching belong here, and the whole package stays within 400 lines.
"""

from paude.engine.events import Event, StepEvent, StepLog, StepProgress
from paude.engine.plan import Node, Plan
from paude.engine.runner import Outputs, running

__all__ = ["Event", "Node", "Outputs", "Plan", "StepEvent", "StepLog", "StepProgress", "running"]
