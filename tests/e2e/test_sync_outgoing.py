"""What goes out is decided on the laptop; nothing that an agent does makes it more, now or at the next start."""

from __future__ import annotations

import pytest

from laptop import Laptop

pytestmark = pytest.mark.cluster

RULES = {".gitignore": "private.txt\n", ".paudeignore": "notes/\n"}
SECRETS = {"private.txt": "p", "notes/plan": "n", ".env": "e", "deploy.pem": "k"}
LIST = "find . -mindepth 1 -not -path './.git*' -printf '%P\\n' | sort"


def test_an_agent_that_rewrites_the_rules_gets_nothing_now_or_at_the_next_start(laptop: Laptop) -> None:
    workspace = laptop.workspace("rules", {"code.py": "x", **RULES, **SECRETS})
    name = laptop.start(workspace)
    assert laptop.inside(name, LIST).split() == [".paudeignore", "code.py"]

    laptop.inside(
        name, "printf '!*\\n' > .gitignore && printf '!.env\\n!*.pem\\n' > .paudeignore && ln -s private.txt .env"
    )
    laptop.inside(
        name, "ln -s .env config && mkdir sub && printf '!.env\\n' > sub/.gitignore && ln -s ../private.txt sub/copy"
    )
    laptop.paude("sync", "flush", name, code=None)
    for path in SECRETS:
        (workspace / path).write_text("edited")
    laptop.paude("sync", "flush", name, code=None)
    inside = laptop.inside(name, LIST).split()
    assert inside == [".env", ".paudeignore", "code.py", "config", "sub", "sub/.gitignore", "sub/copy"]
    assert laptop.inside(name, "cat .env sub/copy config 2>&1; true").count("No such file") == 3, (
        "links lead to nothing"
    )
    assert (workspace / ".paudeignore").read_text() == "!.env\n!*.pem\n", "the agent's edit itself is no secret"
    assert (workspace / ".env").read_text() == "edited"

    # By command one path more goes out, and by the rules of the start, not by those that the agent wrote.
    laptop.paude("sync", "include", "notes", "--session", name)
    assert laptop.inside(name, "cat notes/plan") == "edited"
    refused = laptop.paude("sync", "include", "deploy.pem", "--session", name, code=2)
    assert "looks secret" in refused.stderr
    assert sorted(set(laptop.inside(name, LIST).split()) - set(inside)) == ["notes", "notes/plan"]
    laptop.paude("sync", "include", "deploy.pem", "--session", name, "--yes")
    assert laptop.inside(name, "cat deploy.pem") == "edited"
    assert laptop.paude("sync", "include", "--session", name).stdout.split() == ["deploy.pem", "notes"]
    laptop.paude("sync", "include", ".git", "--session", name, code=2)

    laptop.paude("stop", name, "--discard")
    refused = laptop.paude("start", str(workspace), "--agent", "shell", "--detach", code=2)
    assert all(path in refused.stderr for path in ("private.txt", ".env"))
    assert "notes" not in refused.stderr
    assert "deploy.pem" not in refused.stderr, "what was included by command stays so"
    assert "--yes" in refused.stderr
    assert laptop.records() == {}

    again = laptop.start(workspace, "--yes")
    assert set(SECRETS) <= set(laptop.inside(again, LIST).split())
    laptop.paude("start", str(workspace), "--agent", "shell", "--detach")  # asks once
