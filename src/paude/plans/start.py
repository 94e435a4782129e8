"""`paude start`: what happens, and what waits for what. The variables are the edges.

Everything that can overlap does. Two chains are protection and not data, and the tests walk them: no pod before the
baseline policy and its own, and no leave for the agent before the workspace is seeded, the fence is clean, and
image and proxy are there. The agent's image is no ancestor of the pod: the gate comes up and files travel meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paude.engine import Plan
from paude.plans.laptop import Laptop

if TYPE_CHECKING:
    from paude.backends.kubernetes.start import Start
    from paude.backends.podman.start import Start as PodmanStart


def on_kubernetes(k: Start, laptop: Laptop, *, firewall: bool = False) -> Plan:
    """The plan of a start on Kubernetes or OpenShift, with an EgressFirewall beside the policies where wanted."""
    plan = Plan("start", remedy=f"paude stop {laptop.name} --discard")

    # What needs no cluster.
    noted = plan.step(laptop.remember)
    keys = plan.step(laptop.make_keys, after=[noted])
    outgoing = plan.step(laptop.choose_what_goes_out)
    history = plan.step(laptop.pack_history, after=[noted])

    # The place, and the session's name in it; where it is stands in the record first, for whoever has to clean up.
    cluster = plan.step(k.connect)
    record = plan.step(laptop.write_record, cluster, after=[noted])
    namespace = plan.step(k.ensure_namespace, cluster)
    registry = plan.step(k.find_registry, cluster)
    anchor = plan.step(k.create_anchor, namespace, after=[record])
    supervisor = plan.step(laptop.start_supervisor, after=[record])

    # The wall, and the way out.
    baseline = plan.step(k.apply_baseline_policy, namespace)
    others = plan.step(k.check_policies_of_others, namespace)
    if firewall:
        plan.step(k.apply_egress_firewall, namespace)
    address = plan.step(k.reserve_proxy_address, anchor)
    policy = plan.step(k.apply_session_policy, anchor, address, after=[baseline])
    pull = plan.step(k.find_pull_secret, anchor, registry)
    proxy_image = plan.step(k.push_proxy_image, registry)
    proxy = plan.step(k.roll_out_proxy, namespace, proxy_image, pull, after=[address])

    # The pod: its gate and its fence start, the agent waits for its leave.
    gate_image = plan.step(k.push_gate_image, registry)
    found = plan.step(k.find_agent_image, registry)
    image = plan.step(k.push_agent_image, registry, found)
    secrets = plan.step(k.apply_secrets, anchor, keys)
    volume = plan.step(k.claim_volume, anchor)
    pod = plan.step(k.create_pod, gate_image, found, policy, pull, anchor, after=[secrets, volume, others])

    plan.step(k.watch_gate, pod)

    # The workspace, through the gate.
    gate = plan.step(laptop.connect_gate, pod, keys)
    announced = plan.step(laptop.announce_image, gate, image)
    unpacked = plan.step(laptop.send_history, gate, history)
    content = plan.step(laptop.look_at_volume, gate)
    seeded = plan.step(laptop.seed, gate, outgoing, content)
    sync = plan.step(laptop.define_sync, outgoing, after=[supervisor])
    joined = plan.step(laptop.join_sync, outgoing, content, after=[sync])
    synced = plan.step(laptop.first_sync, after=[joined, seeded])
    marked = plan.step(laptop.mark_seeded, gate, after=[synced])

    # Only now may the agent run.
    plan.step(laptop.release_agent, gate, after=[marked, announced, unpacked, proxy, policy])
    plan.step(k.check_agent_image, pod, image, after=[announced])
    return plan


def on_podman(p: PodmanStart, laptop: Laptop) -> Plan:
    """The plan of a start on this machine's Podman.

    The wall is not a rule that has to be in force in time: gate and agent join a network that never had a way out.
    """
    plan = Plan("start", remedy=f"paude stop {laptop.name} --discard")

    # What needs no podman.
    noted = plan.step(laptop.remember)
    keys = plan.step(laptop.make_keys, after=[noted])

    # The name, which is the volume's; the record says first where whoever has to clean up must look.
    podman = plan.step(p.connect)
    record = plan.step(laptop.write_record, podman, after=[noted])
    place = plan.step(p.claim_volume, podman, after=[record])
    permits = plan.step(p.make_permits, podman, after=[record])
    supervisor = plan.step(laptop.start_supervisor, after=[record])
    secrets = plan.step(p.store_secrets, place, keys)

    # The one way out, and the network that has no other.
    sockets = plan.step(p.open_sockets, podman, after=[record])
    proxy_image = plan.step(p.build_proxy_image, podman)
    proxy = plan.step(p.run_proxy, place, proxy_image, after=[sockets])
    gate_image = plan.step(p.build_gate_image, podman)
    network = plan.step(p.make_network, place, gate_image, after=[sockets])

    # The containers: the gate lays out the volume, the agent takes its parts of it and waits for its leave.
    volume = plan.step(p.find_volume, place)
    pod = plan.step(p.run_gate, place, gate_image, network, volume, after=[secrets, permits])
    gate = plan.step(laptop.connect_gate, pod, keys)
    image = plan.step(p.build_agent_image, podman)
    agent = plan.step(p.run_agent, place, pod, image, after=[gate])

    # The workspace, through the gate; one that is mounted is there.
    if laptop.record.mounted:
        marked = plan.step(laptop.mark_seeded, gate, after=[supervisor])
        there = [marked]
    else:
        outgoing = plan.step(laptop.choose_what_goes_out)
        history = plan.step(laptop.pack_history, after=[noted])
        unpacked = plan.step(laptop.send_history, gate, history)
        content = plan.step(laptop.look_at_volume, gate)
        seeded = plan.step(laptop.seed, gate, outgoing, content)
        sync = plan.step(laptop.define_sync, outgoing, after=[supervisor])
        joined = plan.step(laptop.join_sync, outgoing, content, after=[sync])
        synced = plan.step(laptop.first_sync, after=[joined, seeded])
        marked = plan.step(laptop.mark_seeded, gate, after=[synced])
        there = [marked, unpacked]

    # Only now may the agent run.
    plan.step(laptop.release_beside, gate, proxy, after=[*there, network, agent], name="release agent")
    return plan
