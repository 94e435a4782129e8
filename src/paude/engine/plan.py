"""A plan: steps and the edges between them, written as straight-line code. Nothing runs here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeAlias, TypedDict, TypeVar, Unpack, overload

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")

Opening: TypeAlias = Awaitable[T] | AbstractAsyncContextManager[T, bool | None]


@dataclass(frozen=True, eq=False)
class Node(Generic[T_co]):
    """A step of a plan, and the handle for the value it will have; `inputs` are its arguments, `after` only edges."""

    name: str
    fn: Callable[..., Any]
    inputs: tuple[Node[Any], ...]
    after: tuple[Node[Any], ...]

    @property
    def needs(self) -> tuple[Node[Any], ...]:
        """Every step that is ready before this one starts, and still open when it closes."""
        return self.inputs + self.after

    def __repr__(self) -> str:
        return f"<{self.name}>"


class StepOptions(TypedDict, total=False):
    """`name` replaces the function's; `after` are edges that carry no value (a protection is an edge)."""

    name: str
    after: Sequence[Node[Any]]


@dataclass
class Plan:
    """What a command does. `remedy` is the command that removes whatever of the plan could not be undone."""

    title: str
    remedy: str = ""
    nodes: list[Node[Any]] = field(default_factory=list)

    @overload
    def step(self, fn: Callable[[], Opening[T]], /, **options: Unpack[StepOptions]) -> Node[T]: ...
    @overload
    def step(self, fn: Callable[[A], Opening[T]], a: Node[A], /, **options: Unpack[StepOptions]) -> Node[T]: ...
    @overload
    def step(
        self, fn: Callable[[A, B], Opening[T]], a: Node[A], b: Node[B], /, **options: Unpack[StepOptions]
    ) -> Node[T]: ...
    @overload
    def step(
        self, fn: Callable[[A, B, C], Opening[T]], a: Node[A], b: Node[B], c: Node[C], /, **options: Unpack[StepOptions]
    ) -> Node[T]: ...
    @overload
    def step(
        self, fn: Callable[[A, B, C, D], Opening[T]], a: Node[A], b: Node[B], c: Node[C], d: Node[D], /,
        **options: Unpack[StepOptions],
    ) -> Node[T]: ...  # fmt: skip
    @overload
    def step(
        self, fn: Callable[[A, B, C, D, E], Opening[T]], a: Node[A], b: Node[B], c: Node[C], d: Node[D], e: Node[E], /,
        **options: Unpack[StepOptions],
    ) -> Node[T]: ...  # fmt: skip
    def step(self, fn: Callable[..., Any], /, *inputs: Node[Any], **options: Unpack[StepOptions]) -> Node[Any]:
        """Add a step that calls `fn` with the values of `inputs` once they are ready; nothing is called now.

        `fn` is an `async def` (an effect: its result stays, whatever happens) or gives an async context manager
        (a lease, or a durable thing). The manager meets a cancellation at its `yield` when the plan is taken back
        and has the runner's grace to undo; it leaves normally after the commit, where a durable thing just stays.
        Cancelled while still opening, a step shields its own clean-up, with a time limit.
        Raises ValueError when the name is taken or a need belongs to another plan.
        """
        node: Node[Any] = Node(options.get("name") or _name(fn), fn, inputs, tuple(options.get("after", ())))
        if any(node.name == other.name for other in self.nodes):
            raise ValueError(f"two steps are named {node.name!r}: pass name=")
        for need in node.needs:
            if need not in self.nodes:
                raise ValueError(f"{node.name!r} needs {need.name!r}, which belongs to another plan")
        self.nodes.append(node)
        return node

    def __iter__(self) -> Iterator[Node[Any]]:
        """The steps in the order they were declared, which is a topological one."""
        return iter(self.nodes)

    def __getitem__(self, name: str) -> Node[Any]:
        """The step of that name; raises KeyError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def ancestors(self, node: Node[Any]) -> frozenset[Node[Any]]:
        """Every step that is ready before `node` starts, directly or by way of others."""
        return frozenset(node.needs).union(*(self.ancestors(need) for need in node.needs))

    def dependents(self, node: Node[Any]) -> list[Node[Any]]:
        """The steps that need `node` directly, in the order they were declared."""
        return [other for other in self.nodes if node in other.needs]

    def describe(self) -> str:
        """The graph as text for `--dry-run`: one line for each step, with what it waits for."""
        wide = max((len(node.name) for node in self.nodes), default=0)
        lines = (f"  {n.name:<{wide}}  {'← ' + ', '.join(m.name for m in n.needs) if n.needs else ''}" for n in self)
        return "\n".join([self.title, *(line.rstrip() for line in lines)])

    def mermaid(self) -> str:
        """The graph as a Mermaid flowchart, for the documentation."""
        number = {node: f"s{i}" for i, node in enumerate(self.nodes)}
        boxes = [f'  {number[node]}["{node.name}"]' for node in self.nodes]
        edges = [f"  {number[need]} --> {number[node]}" for node in self.nodes for need in node.needs]
        return "\n".join(["flowchart LR", *boxes, *edges])


def _name(fn: Callable[..., Any]) -> str:
    while isinstance(fn, partial):
        fn = fn.func
    name: str = getattr(fn, "__name__", type(fn).__name__)
    return name.strip("_").replace("_", " ")
